import { expect, test } from 'bun:test';
import { Paces } from './paces.ts';

test('a workspace is slow after slow jobs, and quick again after some quick ones', () => {
  const paces = new Paces();
  for (let at = 0; at < 100; at += 1) paces.record('quick', 2);
  paces.record('quick', 25);
  paces.record('killed', 1_000);
  for (const ms of [25, 25]) paces.record('steady', ms);
  expect(['quick', 'killed', 'steady', 'unknown'].map((each) => paces.isSlow(each))).toEqual([
    false,
    true,
    true,
    false,
  ]);
  for (let at = 0; at < 20; at += 1) paces.record('killed', 1);
  expect(paces.isSlow('killed')).toBe(false);
});

test('however many workspaces there are, those that were slow lately are known', () => {
  const paces = new Paces();
  for (let at = 0; at < 20_000; at += 1) paces.record(`w${at}`, 1_000);
  expect(paces.isSlow('w0')).toBe(false);
  expect(paces.isSlow('w19999')).toBe(true);
});
