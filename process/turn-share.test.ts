/** Many pieces of work that share the turns of the event loop. */
import { expect, test } from 'bun:test';
import { TurnShare } from './turn-share.ts';

let now = 0;
const clock = () => now;

/** Work that takes longer than a slice. */
function long(): void {
  now += 10;
}

test('short pieces are done at once, without a promise', () => {
  const share = new TurnShare(clock);
  expect([share.wait(), share.wait(), share.wait()]).toEqual([null, null, null]);
});

test('after a long piece each of the others gets a turn of its own, in their order', async () => {
  const share = new TurnShare(clock);
  const done: (string | number)[] = [];
  let isOver = false;
  const turn = () => {
    done.push('turn');
    if (!isOver) setImmediate(turn);
  };
  expect(share.wait()).toBeNull();
  long();
  const pieces = [1, 2, 3].map(async (piece) => {
    await share.wait();
    done.push(piece);
    long();
  });
  expect(done).toEqual([]);
  turn();
  await Promise.all(pieces);
  isOver = true;
  const order = done.join(' ');
  expect(order).toMatch(/^(turn )*1 (turn )+2 (turn )+3/);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(share.wait()).toBeNull();
});
