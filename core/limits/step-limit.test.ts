import { describe, expect, test } from 'bun:test';
import {
  decideRequests,
  keyText,
  type LimitedRequest,
  type LimitUse,
  limitId,
  type SharedLimit,
} from './step-limit.ts';

const slots = (id: string, limit: number): SharedLimit => ({ id, key: id, limit, perMs: null });
const rate = (id: string, limit: number, perMs = 1_000): SharedLimit => ({ id, key: id, limit, perMs });
const step = (stepId: string, limits: Partial<LimitedRequest>): LimitedRequest => ({
  stepId,
  concurrency: null,
  rate: null,
  ...limits,
});
const running = (count: number): LimitUse => ({ running: count, started: 0, freedInMs: null });
const started = (count: number, freedInMs: number | null = 500): LimitUse => ({
  running: 0,
  started: count,
  freedInMs,
});

describe('decideRequests', () => {
  test('grants what is free, in the order of the requests', () => {
    const asked = ['a', 'b', 'c'].map((id) => step(id, { concurrency: slots('k', 4) }));
    const decided = decideRequests(asked, new Map([['k', running(2)]]));
    expect(decided.map(({ granted }) => granted)).toEqual([true, true, false]);
  });

  test('each step keeps its own limit of a shared key', () => {
    const asked = [step('low', { concurrency: slots('k', 1) }), step('high', { concurrency: slots('k', 3) })];
    const decided = decideRequests(asked, new Map([['k', running(1)]]));
    expect(decided).toEqual([{ granted: false, retryAfterMs: null }, { granted: true }]);
  });

  test('a step that is held back holds back no other, and takes nothing of its second limit', () => {
    const both = { concurrency: slots('full', 1), rate: rate('r', 1) };
    const asked = [step('held', both), step('free', { rate: rate('r', 1) }), step('none', {})];
    const uses = new Map([
      ['full', running(1)],
      ['r', started(0)],
    ]);
    expect(decideRequests(asked, uses).map(({ granted }) => granted)).toEqual([false, true, true]);
  });

  test('a rate that is used up says when it is free again', () => {
    const [decision] = decideRequests([step('a', { rate: rate('r', 2) })], new Map([['r', started(2, 300)]]));
    expect(decision).toEqual({ granted: false, retryAfterMs: 300 });
  });

  test('a rate of which nothing counts yet is used up by what is granted together', () => {
    const asked = ['a', 'b'].map((id) => step(id, { rate: rate('r', 1, 2_000) }));
    expect(decideRequests(asked, new Map([['r', started(0, null)]]))).toEqual([
      { granted: true },
      { granted: false, retryAfterMs: 2_000 },
    ]);
  });
});

describe('limitId', () => {
  test('differs by workspace, key, kind and window, and is a UUID', () => {
    const ids = [
      limitId(null, 'k', null),
      limitId('w', 'k', null),
      limitId('w', 'j', null),
      limitId('w', 'k', 1),
      limitId('w', 'k', 2),
      limitId('w', '["k"]', null),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(limitId('w', 'k', 1)).toBe(ids[3]!);
  });
});

test('a key is text, as in a joined text', () => {
  expect([keyText('a'), keyText(7), keyText(null), keyText(undefined), keyText({ a: [1] })]).toEqual([
    'a',
    '7',
    '',
    '',
    '{"a":[1]}',
  ]);
});
