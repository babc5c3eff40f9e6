import { expect, test } from 'bun:test';
import { begin, MAX_CALLS, nextOf, type Rules, withAnswer, withResult } from './conversation.ts';

const RULES: Rules = { maxTurns: 5, maxTokens: null, tools: [{ name: 'look', faultsOf: () => [] }] };
const ANSWER = { text: null, tokens: 1, isCut: false, refused: null };
const calls = (count: number) =>
  Array.from({ length: count }, (_, at) => ({ id: `c${at}`, name: 'look', arguments: '{}' }));

test('of many calls in one answer some are made, and the others are told so', () => {
  let conversation = withAnswer(begin([]), { ...ANSWER, calls: calls(MAX_CALLS + 2) }, RULES);
  const next = nextOf(conversation, RULES);
  if (next.kind !== 'run') throw new Error(next.kind);
  expect(next.calls).toHaveLength(MAX_CALLS);
  for (const { id } of next.calls) conversation = withResult(conversation, id, 'seen');
  expect(conversation.messages.slice(-3)).toMatchObject([
    { tool_call_id: `c${MAX_CALLS - 1}`, content: 'seen' },
    { tool_call_id: `c${MAX_CALLS}`, content: expect.stringContaining('Call again.') },
    { tool_call_id: `c${MAX_CALLS + 1}` },
  ]);
});

test('a result for a call that is not open changes nothing', () => {
  const conversation = withAnswer(begin([]), { ...ANSWER, calls: calls(2) }, RULES);
  const one = withResult(conversation, 'c1', 'first');
  expect(withResult(one, 'c1', 'second')).toEqual(one);
  expect(withResult(one, 'gone', 'x')).toEqual(one);
  expect(nextOf(one, RULES)).toMatchObject({ kind: 'run', calls: [{ id: 'c0' }] });
});

test('each reason that ends a conversation says what to change', () => {
  const message = (rules: Partial<Rules>, answer = {}) => {
    const given = { ...RULES, ...rules };
    const next = nextOf(withAnswer(begin([]), { ...ANSWER, calls: calls(1), ...answer }, given), given);
    return next.kind === 'failed' ? [next.fault.code, next.fault.message] : next.kind;
  };
  expect(message({ maxTurns: 1 })).toEqual(['max_turns', 'no answer after 1 turns (maxTurns)']);
  expect(message({ maxTokens: 1 })).toEqual([
    'token_budget',
    '1 of 1 tokens (maxTokens) are used, without an answer',
  ]);
  expect(message({ maxTokens: 5 }, { tokens: null })).toEqual([
    'token_budget',
    'the server does not say how many tokens it used, so maxTokens ends it',
  ]);
  expect(message({}, { isCut: true })[0]).toBe('invalid_answer');
});
