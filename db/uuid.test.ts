import { expect, test } from 'bun:test';
import { newId } from './uuid.ts';

const V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test('ids are UUIDs of version 7 and variant 10', () => {
  expect(Array.from({ length: 1_000 }, newId).filter((id) => !V7.test(id))).toEqual([]);
});

test('ids of one process grow, also when more are made in a millisecond than the counter holds', () => {
  const ids = Array.from({ length: 50_000 }, newId);
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});

test('the time in an id is about now', () => {
  const ms = Number.parseInt(newId().replaceAll('-', '').slice(0, 12), 16);
  expect(Math.abs(ms - Date.now())).toBeLessThan(60_000);
});
