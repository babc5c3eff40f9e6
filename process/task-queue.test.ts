import { expect, test } from 'bun:test';
import { TaskQueue } from './task-queue.ts';

const task = (owner: string, name: string) => ({ owner, name });

test('owners take turns, however many tasks one of them has', () => {
  const queue = new TaskQueue<{ owner: string; name: string }>(5);
  for (const name of ['1', '2', '3']) queue.add(task('a', name));
  queue.add(task('b', '1'));
  const taken = [queue.take(), queue.take(), queue.take(), queue.take()];
  expect(taken.map((each) => `${each!.owner}${each!.name}`)).toEqual(['a1', 'b1', 'a2', 'a3']);
  expect(queue.take()).toBeNull();
});

test('one owner leaves a process to others', () => {
  const queue = new TaskQueue<{ owner: string; name: string }>(2);
  queue.add(task('a', '1'));
  queue.add(task('a', '2'));
  const first = queue.take()!;
  expect(queue.hasNext).toBe(false);
  queue.add(task('b', '1'));
  expect(queue.take()!.owner).toBe('b');
  queue.ended(first);
  expect(queue.take()!.name).toBe('2');
  expect(queue.size).toBe(0);
});

test('a single process serves everybody', () => {
  const queue = new TaskQueue<{ owner: string; name: string }>(1);
  queue.add(task('a', '1'));
  expect(queue.take()!.name).toBe('1');
});

test('what has to begin again is first of its owner', () => {
  const queue = new TaskQueue<{ owner: string; name: string }>(3);
  queue.add(task('a', '2'));
  queue.add(task('a', '1'), true);
  expect(queue.take()!.name).toBe('1');
  expect(queue.clear().map(({ name }) => name)).toEqual(['2']);
});
