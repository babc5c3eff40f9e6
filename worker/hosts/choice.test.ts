import { expect, test } from 'bun:test';
import { hostFor } from './choice.ts';
import type { StepHost } from './host.ts';

interface Given {
  /** Workspaces of its runs. */
  runs?: string[];
  silentMs?: number;
  ready?: boolean;
  usable?: boolean;
}

/** Returns the place of the host for a run of the workspace; null: none. */
function placeOf(
  workspace: string,
  given: Given[],
  share = Number.POSITIVE_INFINITY,
  mayGrow = false,
): number | null {
  const hosts = given.map(({ runs = [], silentMs = 0, ready = true }) => {
    const all = new Map(runs.map((of, at) => [at, { workspace: of }]));
    return { runs: all, silentMs, ready } as unknown as StepHost;
  });
  const isUsable = (host: StepHost) => given[hosts.indexOf(host)]!.usable !== false;
  const host = hostFor(workspace, { hosts: new Set(hosts), share, mayGrow, isUsable });
  return host === null ? null : hosts.indexOf(host);
}

test('a run goes where there is least to do, among hosts that answer', () => {
  expect(placeOf('a', [{ runs: ['a', 'a'] }, { runs: ['a'] }, { ready: false }])).toBe(1);
  expect(placeOf('a', [{ runs: ['a', 'a'] }, { runs: ['a'], silentMs: 100 }])).toBe(0);
  expect(placeOf('a', [{ usable: false }, { ready: false }])).toBeNull();
});

test('a run goes where no others are, however busy its own workspace is there', () => {
  expect(placeOf('a', [{ runs: ['a', 'a', 'a'] }, { runs: ['b'] }])).toBe(0);
  expect(placeOf('a', [{ runs: ['b', 'b'] }, { runs: ['c'] }])).toBe(1);
});

test('a run waits for a host that is about to come rather than going where others are', () => {
  expect(placeOf('a', [{ runs: ['b'] }], 1, true)).toBeNull();
  expect(placeOf('a', [{ runs: ['b'] }], 1, false)).toBe(0);
  expect(placeOf('a', [{ runs: ['a'] }], 1, true)).toBe(0);
});

test('a workspace uses no more hosts than its share, also when they do not answer', () => {
  expect(placeOf('a', [{ runs: ['a'] }, {}], 1)).toBe(0);
  expect(placeOf('a', [{ runs: ['a'], usable: false }, {}], 1)).toBeNull();
  expect(placeOf('b', [{ runs: ['a'], usable: false }, {}], 1)).toBe(1);
});
