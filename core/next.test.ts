import { expect, test } from 'bun:test';
import { settle } from './next.ts';

test.each([
  ['returns', () => 1, 'then 1'],
  ['throws', () => fail(), 'otherwise failed'],
  ['resolves', async () => 1, 'then 1'],
  ['rejects', async () => fail(), 'otherwise failed'],
])('work that %s calls exactly one of the two', async (_how, work, expected) => {
  const calls: string[] = [];
  await new Promise<void>((done) => {
    const noted = (call: string) => {
      calls.push(call);
      done();
    };
    settle<number>(
      work,
      (value) => noted(`then ${value}`),
      (thrown) => noted(`otherwise ${(thrown as Error).message}`),
    );
  });
  expect(calls).toEqual([expected]);
});

function fail(): never {
  throw new Error('failed');
}
