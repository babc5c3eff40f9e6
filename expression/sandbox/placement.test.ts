import { expect, test } from 'bun:test';
import { type Entry, newWorker, type Worker } from './job.ts';
import { placementLimits, workerFor } from './placement.ts';
import type { SandboxProcess } from './process.ts';

interface Given {
  /** Workspaces of its jobs; the first one runs. */
  jobs?: string[];
  stalled?: boolean;
  ready?: boolean;
}

function workersOf(given: Given[]): Worker[] {
  return given.map(({ jobs = [], stalled = false, ready = true }) => {
    const running = jobs.map((workspace, at) => [at, { workspace } as Entry] as const);
    return { ...newWorker({} as SandboxProcess), running: new Map(running), stalled, ready };
  });
}

/** Returns the place of the worker for a job of the workspace; null: none. Workspaces with an s are slow. */
function placeOf(workspace: string, given: Given[], { size = 2, processors = 2, hasOthers = true } = {}) {
  const workers = workersOf(given);
  const wasSlow = (name: string) => name.startsWith('s');
  const lane = { size, processors, maxInFlight: 16 };
  const limits = placementLimits(lane, new Set(workers), hasOthers, wasSlow);
  const worker = workerFor(workspace, new Set(workers), limits);
  return worker === null ? null : workers.indexOf(worker);
}

test('quick code goes where there is least to do, and not behind slow code', () => {
  expect(placeOf('a', [{ jobs: ['a', 'a'] }, { jobs: ['b'] }])).toBe(1);
  expect(placeOf('a', [{ jobs: ['slow'] }, { jobs: ['a', 'b', 'c'] }])).toBe(1);
  expect(placeOf('a', [{ jobs: ['slow'] }])).toBe(0);
  expect(placeOf('a', [{ jobs: ['slow'], stalled: true }, { ready: false }])).toBeNull();
});

test('slow code runs alone, and leaves a worker to the others', () => {
  expect(placeOf('slow', [{}, {}])).toBe(0);
  expect(placeOf('slow', [{ jobs: ['a'] }, {}])).toBe(1);
  expect(placeOf('slow', [{}])).toBeNull();
  expect(placeOf('slow', [{ jobs: ['a'] }, { jobs: ['a'] }])).toBeNull();
  expect(placeOf('slow', [{}, { jobs: ['s2'] }])).toBeNull();
  expect(placeOf('slow', [{}, { jobs: ['s2'] }, {}])).toBe(0);
});

test('code that holds up a worker counts as slow, although it never was before', () => {
  expect(placeOf('a', [{ jobs: ['a'], stalled: true }, {}])).toBeNull();
  expect(placeOf('a', [{ jobs: ['a'], stalled: true }, {}, {}], { processors: 4 })).toBe(1);
  expect(placeOf('b', [{ jobs: ['a', 'b'], stalled: true }, {}])).toBe(1);
});

test.each([
  [1, 1, 1],
  [2, 2, 1],
  [2, 4, 2],
  [4, 3, 2],
])('of a lane of %i, on %i processors, slow code holds %i', (size, processors, most) => {
  const given: Given[] = Array.from({ length: 6 }, () => ({}));
  let held = 0;
  for (let at = placeOf('slow', given, { size, processors }); at !== null; held += 1) {
    given[at] = { jobs: ['slow'] };
    at = placeOf('slow', given, { size, processors });
  }
  expect(held).toBe(most);
});

test('a workspace that is the only one leaves nothing to others', () => {
  const alone = { hasOthers: false };
  expect(placeOf('slow', [{}], alone)).toBe(0);
  expect(placeOf('slow', [{ jobs: ['slow'], stalled: true }, { jobs: ['slow'] }, {}], alone)).toBe(2);
});
