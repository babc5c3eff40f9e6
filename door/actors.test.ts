import { expect, test } from 'bun:test';
import { newId } from '../db/uuid.ts';
import { JsonPayload } from '../payload/json-payload.ts';
import type { Mail } from './actor.ts';
import { Actors } from './actors.ts';
import type { Unit } from './unit.ts';

const MEGABYTE = JSON.stringify('x'.repeat(1_000_000));

function completed(slot: number, json: string): Mail {
  const claim = { attempt: 1, owner: newId(), sequence: 1 };
  const output = new JsonPayload(json);
  return { event: { type: 'complete', slot, claim, output, routes: null }, settle: null };
}

function fill(table: Actors, id: string, count: number, json: string): void {
  const actor = table.get(id);
  for (let slot = 0; slot < count; slot += 1) actor.mailbox.push(completed(slot, json));
  table.mark(actor);
}

const slots = (unit: Unit) => unit.mails.map(({ event }) => (event.type === 'complete' ? event.slot : -1));

test('outputs that are too much for one commit are split over several, in their order', () => {
  const table = new Actors();
  fill(table, 'wide', 40, MEGABYTE);
  const seen: number[] = [];
  let commits = 0;
  for (let units = table.collect(); units.length > 0; units = table.collect()) {
    expect(units).toHaveLength(1);
    expect(units[0]!.mails.length).toBeLessThanOrEqual(5);
    seen.push(...slots(units[0]!));
    table.free(units[0]!.actor);
    commits += 1;
  }
  expect(seen).toEqual(Array.from({ length: 40 }, (_, at) => at));
  expect(commits).toBe(8);
});

test('executions with large outputs go into the next commit, and none is left out', () => {
  const table = new Actors();
  for (let at = 0; at < 12; at += 1) fill(table, `e-${at}`, 1, MEGABYTE);
  const first = table.collect();
  const second = table.collect();
  const third = table.collect();
  expect([first.length, second.length, third.length]).toEqual([5, 5, 2]);
  const all = [...first, ...second, ...third];
  expect(new Set(all.map(({ actor }) => actor.key)).size).toBe(12);
});

test('small outputs go together', () => {
  const table = new Actors();
  for (let at = 0; at < 40; at += 1) fill(table, `e-${at}`, 10, '1');
  expect(table.collect().map(({ mails }) => mails.length)).toEqual(Array.from({ length: 40 }, () => 10));
});
