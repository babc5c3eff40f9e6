import { expect, test } from 'bun:test';
import { compileGraph } from '../core/graph.ts';
import { emptyView } from '../core/view.ts';
import { newId } from '../db/uuid.ts';
import { JsonPayload } from '../payload/json-payload.ts';
import type { TemplateVersion } from '../template/version.ts';
import { diamond } from '../tests/support/core/graphs.ts';
import type { Actor, Mail } from './actor.ts';
import { Actors } from './actors.ts';
import type { Unit } from './unit.ts';

const MEGABYTE = JSON.stringify('x'.repeat(1_000_000));

function completed(slot: number, json: string): Mail {
  const claim = { attempt: 1, owner: newId(), sequence: 1 };
  const output = new JsonPayload(json);
  return { event: { type: 'complete', slot, claim, output, routes: null }, settle: null };
}

function fill(table: Actors, id: string, count: number, json: string): Actor {
  const actor = table.get(id);
  for (let slot = 0; slot < count; slot += 1) actor.mailbox.push(completed(slot, json));
  table.mark(actor);
  return actor;
}

function of(table: Actors, workspaceId: string, actor: Actor): void {
  const version = { name: 'only' } as TemplateVersion;
  const facts = { version, workspaceId, priority: 0, callbackUrl: null, parent: null };
  actor.load(facts, emptyView(actor.key, compileGraph(diamond())));
  table.mark(actor);
}

const slots = (unit: Unit) => unit.mails.map(({ event }) => (event.type === 'complete' ? event.slot : -1));

test('outputs that are too much for one commit are split over several, in their order', () => {
  const table = new Actors();
  fill(table, 'wide', 40, MEGABYTE);
  const seen: number[] = [];
  let commits = 0;
  for (let units = table.collect(true); units.length > 0; units = table.collect(true)) {
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
  const commits = [1, 2, 3, 4].map(() => table.collect(true));
  expect(commits.map(({ length }) => length)).toEqual([5, 5, 2, 0]);
  expect(new Set(commits.flat().map(({ actor }) => actor.key)).size).toBe(12);
});

test('small outputs go together', () => {
  const table = new Actors();
  for (let at = 0; at < 40; at += 1) fill(table, `e-${at}`, 10, '1');
  expect(table.collect(false).map(({ mails }) => mails.length)).toEqual(Array.from({ length: 40 }, () => 10));
});

test('large outputs do not go with small ones', () => {
  const table = new Actors();
  fill(table, 'large', 1, MEGABYTE);
  fill(table, 'small', 1, '1');
  fill(table, 'many', 500, JSON.stringify('x'.repeat(1_000)));
  expect(table.collect(false).map(({ actor }) => actor.key)).toEqual(['small', 'many']);
  expect(table.collect(true).map(({ actor }) => actor.key)).toEqual(['large']);
});

test('workspaces take turns when a commit cannot take all', () => {
  const table = new Actors();
  for (let at = 0; at < 20; at += 1) of(table, 'busy', fill(table, `busy-${at}`, 1, MEGABYTE));
  of(table, 'other', fill(table, 'other', 1, MEGABYTE));
  expect(table.collect(true).map(({ actor }) => actor.key)).toEqual([
    'busy-0',
    'other',
    'busy-1',
    'busy-2',
    'busy-3',
  ]);
  for (let at = 0; at < 2_000; at += 1) of(table, 'busy', fill(table, `small-${at}`, 1, '1'));
  of(table, 'other', fill(table, 'last', 1, '1'));
  expect(table.collect(false).map(({ actor }) => actor.key)).toContain('last');
});

test('of views that wait for something from outside a thousand stay in memory, and every one that is under way', () => {
  const table = new Actors();
  const actors = Array.from({ length: 1_500 }, (_, at) => table.get(`e-${at}`));
  for (const actor of actors) of(table, 'a', actor);
  actors[0]!.mailbox.push(completed(0, '1'));
  for (const actor of actors) table.park(actor);
  expect(table.size).toBe(1_001);
  expect(actors.filter(({ key }) => table.find(key) !== undefined)).toEqual([
    actors[0]!,
    ...actors.slice(500),
  ]);
});
