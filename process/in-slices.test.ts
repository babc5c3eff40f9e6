/** Long work that shares the turns of the event loop with all other such work. */
import { expect, test } from 'bun:test';
import { inSlices } from './in-slices.ts';

/** Pieces that take longer than a slice all together, each recorded by its name. */
function* pieces(name: string, count: number, done: string[], ms = 3): Generator<void, string> {
  for (let piece = 0; piece < count; piece += 1) {
    const until = performance.now() + ms;
    while (performance.now() < until);
    done.push(name);
    yield;
  }
  return name;
}

/** Records each turn of the event loop in the list, until it is told to end. */
function recordTurns(done: string[]): { end(): void } {
  let isOver = false;
  const turn = () => {
    done.push('turn');
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  return {
    end: () => {
      isOver = true;
    },
  };
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

test('work that takes no time is done at once', async () => {
  const seen: string[] = [];
  // A process that is held up in the middle of it has used up its turn.
  while (seen.length < 50 && seen.at(-1) !== 'short short short') {
    await nextTurn();
    const done: string[] = [];
    const turns = recordTurns(done);
    expect(await inSlices(pieces('short', 3, done, 0))).toBe('short');
    turns.end();
    seen.push(done.join(' '));
  }
  expect(seen.at(-1)).toBe('short short short');
});

test('long work is paused for others', async () => {
  const done: string[] = [];
  const turns = recordTurns(done);
  await inSlices(pieces('long', 20, done));
  turns.end();
  expect(done.join(' ')).toMatch(/long (turn )+long/);
});

test('many works do not each take a slice of the same turn', async () => {
  const done: string[] = [];
  const turns = recordTurns(done);
  const works = Array.from({ length: 12 }, (_, at) => inSlices(pieces(`work ${at}`, 4, done)));
  await Promise.all(works);
  turns.end();
  const together = done
    .join(' ')
    .split('turn')
    .map((turn) => turn.match(/work/g)?.length ?? 0);
  // A slice has room for three pieces of 3 ms; each work on its own would do three of them in each turn.
  expect(Math.max(...together)).toBeLessThan(12);
});

test('short work does not wait for the end of long work', async () => {
  const done: string[] = [];
  const ended: string[] = [];
  const long = ['a', 'b', 'c'].map(async (name) => ended.push(await inSlices(pieces(name, 30, done))));
  await nextTurn();
  ended.push(await inSlices(pieces('short', 2, done)));
  await Promise.all(long);
  expect(ended[0]).toBe('short');
});

test('an error of the work is passed on, wherever it is thrown', async () => {
  function* failing(pause: boolean): Generator<void, never> {
    if (pause) yield* pieces('before', 20, []);
    throw new Error('of the work');
  }
  for (const pause of [false, true]) expect(inSlices(failing(pause))).rejects.toThrow('of the work');
});
