/** Who waits for the end of an execution leaves nothing behind, however the wait ends. */
import { expect, test } from 'bun:test';
import { ExecutionWaiters } from './execution-waiters.ts';

const NEVER = 2 ** 31 - 1;

test('a wait ends when the execution is final, for all who wait for it and nobody else', async () => {
  const waiters = new ExecutionWaiters();
  const others = new AbortController();
  const waits = [waiters.wait('a', NEVER), waiters.wait('a', NEVER)];
  const other = waiters.wait('b', NEVER, others.signal);
  expect(waiters.ids).toEqual(['a', 'b']);
  waiters.wake('a');
  await Promise.all(waits);
  expect(waiters.ids).toEqual(['b']);
  others.abort();
  await other;
  expect(waiters.ids).toEqual([]);
});

test('a wait ends when its time is over', async () => {
  const waiters = new ExecutionWaiters();
  await waiters.wait('a', 1);
  expect(waiters.ids).toEqual([]);
});

test('a wait that is given up leaves the others of the execution waiting', async () => {
  const waiters = new ExecutionWaiters();
  const [leaves, stays] = [new AbortController(), new AbortController()];
  let over = false;
  const left = waiters.wait('a', NEVER, leaves.signal);
  const stayed = waiters.wait('a', NEVER, stays.signal).then(() => {
    over = true;
  });
  leaves.abort();
  await left;
  expect([waiters.ids, over]).toEqual([['a'], false]);
  stays.abort();
  await stayed;
  expect(waiters.ids).toEqual([]);
});

test('a wait that was given up before it began is none', async () => {
  const waiters = new ExecutionWaiters();
  await waiters.wait('a', NEVER, AbortSignal.abort());
  expect(waiters.ids).toEqual([]);
});

test('who is woken may wait again', async () => {
  const waiters = new ExecutionWaiters();
  const leaves = new AbortController();
  const again = waiters.wait('a', NEVER).then(() => waiters.wait('a', NEVER, leaves.signal));
  waiters.wake('a');
  await Promise.resolve();
  await Promise.resolve();
  expect(waiters.ids).toEqual(['a']);
  leaves.abort();
  await again;
  expect(waiters.ids).toEqual([]);
});

test('news from elsewhere may be of a stop: it does not say that the execution is final', async () => {
  const waiters = new ExecutionWaiters();
  const news = waiters.wait('e', 60_000);
  waiters.wake('e');
  expect(await news).toBe(false);
});
