import { expect, test } from 'bun:test';
import { TurnQueue, WorkspaceTurns } from './turn-queue.ts';

function taken<T>(pop: () => T | undefined): T[] {
  const all: T[] = [];
  for (let item = pop(); item !== undefined; item = pop()) all.push(item);
  return all;
}

test('owners take turns, and the items of one keep their order', () => {
  const queue = new TurnQueue<string>();
  for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) queue.push(item[0]!, item);
  expect(taken(() => queue.pop())).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  expect(queue.size).toBe(0);
});

test('an owner that may not take a turn keeps its place, and what is put first goes first among its own', () => {
  const queue = new TurnQueue<string>();
  for (const item of ['a1', 'b1', 'b2']) queue.push(item[0]!, item);
  queue.push('a', 'a0', true);
  expect(queue.pop((owner) => owner !== 'a')).toBe('b1');
  expect(queue.pop((owner) => owner === 'c')).toBeUndefined();
  expect(taken(() => queue.pop())).toEqual(['a0', 'b2', 'a1']);
});

test('what is not kept is gone, and the rest is counted', () => {
  const queue = new TurnQueue<string>();
  for (const item of ['a1', 'a2', 'b1']) queue.push(item[0]!, item);
  queue.keep((item) => item === 'a2');
  expect(queue.size).toBe(1);
  expect(queue.clear()).toEqual(['a2']);
  expect(queue.size).toBe(0);
});

test('workspaces take turns, and so do the executions of each', () => {
  const queue = new WorkspaceTurns<string>();
  for (const item of ['ax1', 'ax2', 'ax3', 'ay1', 'bz1', 'bz2']) queue.push(item[0]!, item[1]!, item);
  expect(queue.pop((workspace) => workspace === 'b')).toBe('bz1');
  expect(taken(() => queue.pop())).toEqual(['ax1', 'bz2', 'ay1', 'ax2', 'ax3']);
  queue.push('a', 'x', 'ax1');
  expect(queue.clear()).toEqual(['ax1']);
  expect(queue.size).toBe(0);
});
