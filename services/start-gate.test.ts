import { describe, expect, test } from 'bun:test';
import { StartGate, type StartRefusal } from './start-gate.ts';

/** A gate over a backlog that the test changes, with a clock that the test moves. */
function world(options: { maxBacklog?: number; maxWaiting?: number; countMs?: number } = {}) {
  const state = { now: 0, pending: 0, questions: 0, refused: [] as StartRefusal[], failing: false };
  const gate = new StartGate({
    maxBacklog: options.maxBacklog ?? 10,
    maxWaiting: options.maxWaiting ?? 1_000,
    count: async (most) => {
      state.questions += 1;
      state.now += options.countMs ?? 0;
      if (state.failing) throw new Error('away');
      return Math.min(state.pending, most);
    },
    onRefused: (reason) => state.refused.push(reason),
    now: () => state.now,
  });
  /** Starts that all line up. */
  const start = (count = 1) =>
    gate.enter(count, async () => {
      state.pending += count;
      return count;
    });
  return { gate, state, start };
}

const REFUSED = { code: 'too_many_requests' };

describe('the backlog', () => {
  test('is filled to its limit and no further, and nothing is asked per start', async () => {
    const { state, start } = world();
    for (let n = 0; n < 10; n += 1) await start();
    await expect(start()).rejects.toMatchObject(REFUSED);
    expect([state.pending, state.questions, state.refused]).toEqual([10, 1, ['backlog']]);
  });

  test('is filled to its limit by starts that come all at once', async () => {
    const { state, start } = world();
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => start()));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    expect(state.pending).toBe(10);
  });

  test('counts every start of those that were on their way together', async () => {
    const { gate, state } = world();
    const gone = Array.from({ length: 6 }, () => Promise.withResolvers<number>());
    const entering = gone.map(({ promise }) => gate.enter(1, () => promise));
    await Promise.resolve();
    for (const { resolve } of gone) resolve(1);
    await Promise.all(entering);
    state.pending = 6;
    const more = await Promise.allSettled(Array.from({ length: 100 }, () => gate.enter(1, async () => 1)));
    expect(more.filter(({ status }) => status === 'fulfilled')).toHaveLength(4);
  });

  test('has room again when executions have begun, as soon as it may be asked again', async () => {
    const { state, start } = world();
    await start(10);
    state.pending = 4;
    await expect(start()).rejects.toMatchObject(REFUSED);
    state.now = 100;
    await start();
    expect(state.questions).toBe(2);
  });

  test('does not hold executions that began at once', async () => {
    const { gate, state } = world();
    for (let n = 0; n < 100; n += 1) await gate.enter(1, async () => 0);
    expect(state.refused).toEqual([]);
  });

  test('of other engines is seen within a second', async () => {
    const { state, start } = world();
    await start();
    state.pending = 1_000;
    await start();
    state.now = 1_000;
    await start().catch(() => {});
    await expect(start()).rejects.toMatchObject({
      code: 'too_many_requests',
      message: expect.stringContaining('executions are pending, and the limit is 10'),
    });
  });

  test('that is slow to count is counted for a twentieth of the time', async () => {
    const { state, start } = world({ countMs: 300 });
    await start(10);
    expect([state.questions, state.now]).toEqual([1, 300]);
    state.now = 6_299;
    await expect(start()).rejects.toMatchObject(REFUSED);
    expect(state.questions).toBe(1);
    state.now = 6_300;
    await expect(start()).rejects.toMatchObject(REFUSED);
    expect(state.questions).toBe(2);
  });

  test('that cannot be counted keeps nobody from trying', async () => {
    const { state, start } = world();
    state.failing = true;
    await start();
    expect(state.pending).toBe(1);
  });

  test('takes a request of many that begins below the limit as a whole', async () => {
    const { state, start } = world();
    await start(9);
    await start(1_000);
    await expect(start()).rejects.toMatchObject(REFUSED);
    expect(state.pending).toBe(1_009);
  });

  test('gives a place back when the start fails', async () => {
    const { gate, start } = world();
    for (let n = 0; n < 50; n += 1) {
      const failing = gate.enter(9, () => Promise.reject(new Error('no')));
      await expect(failing).rejects.toThrow('no');
    }
    await start(9);
    await start();
  });
});

describe('starts that wait in this process', () => {
  test('are bounded, and a place that is free is taken again', async () => {
    const { gate, state } = world({ maxWaiting: 10 });
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = [gate.waitIn(6, () => promise), gate.waitIn(4, () => promise)];
    await expect(gate.waitIn(1, () => promise)).rejects.toMatchObject(REFUSED);
    expect(state.refused).toEqual(['process']);
    resolve();
    await Promise.all(waiting);
    await expect(gate.waitIn(1, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await gate.waitIn(10, async () => 'in')).toBe('in');
  });

  test('are taken when there is no other, however many', async () => {
    const { gate } = world({ maxWaiting: 10 });
    expect(await gate.waitIn(1_000, async () => 'in')).toBe('in');
  });
});
