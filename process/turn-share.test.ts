/** Many pieces of work that share the turns of the event loop. */
import { expect, test } from 'bun:test';
import { TurnShare } from './turn-share.ts';

let now = 0;
const clock = () => now;

/** Does work that takes longer than a slice. */
function long(): void {
  now += 10;
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** Gives pieces to the share that write down their numbers. Returns the numbers of each turn until all are done. */
async function turnsOf(share: TurnShare, numbers: readonly number[], work: () => void): Promise<number[][]> {
  const turns: number[][] = [[]];
  for (const number of numbers)
    share.do(() => {
      turns.at(-1)!.push(number);
      work();
    });
  while (turns.flat().length < numbers.length) {
    turns.push([]);
    await nextTurn();
  }
  return turns.filter(({ length }) => length > 0);
}

test('short pieces are done at once', () => {
  const share = new TurnShare(clock);
  const done: number[] = [];
  for (const number of [1, 2, 3]) share.do(() => done.push(number));
  expect(done).toEqual([1, 2, 3]);
});

test('after a long piece each of the others gets a turn of its own, in their order, when they are long', async () => {
  const share = new TurnShare(clock);
  expect(await turnsOf(share, [1, 2, 3], long)).toEqual([[1], [2], [3]]);
  await nextTurn();
  expect(share.isFree).toBeTrue();
});

test('short pieces that wait for a turn share it', async () => {
  const share = new TurnShare(clock);
  share.do(long);
  expect(await turnsOf(share, [1, 2, 3], () => {})).toEqual([[1, 2, 3]]);
});
