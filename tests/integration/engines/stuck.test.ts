/**
 * Engines that are alive but stuck: the heart beats on one connection while what is sent on the others is never
 * answered. They say so in their health, and others take the work.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import type { EngineDatabase, EngineProcess } from '../../support/engine.ts';
import { type PoolProxy, proxyByUse } from '../../support/faults/pool-proxy.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

const ONE_STEP = { steps: { a: { type: 'record' } } };

interface Watched {
  readonly database: EngineDatabase;
  readonly proxy: PoolProxy;
  readonly engine: EngineProcess;
}

/** Its looks for work are not answered. */
let starving: Watched;
/** Its commits are not answered. */
let mute: Watched;
/** It works, with as much work as it can hold and more. */
let full: Watched;

const fixture = fixtureForAll(async () => {
  [starving, mute, full] = await Promise.all([
    start(),
    start(),
    start({ EXECUTION_ENGINE_CONCURRENCY: '1' }),
  ]);
});

async function start(config: Record<string, string> = {}): Promise<Watched> {
  const database = await fixture.database();
  const proxy = await fixture.use(proxyByUse(database.url), (made) => made.close());
  const engine = await fixture.engineProcess({ url: proxy.url, name: 'watched', config });
  return { database, proxy, engine };
}

/** Polls until health answers this; answers what it says of the work loop. */
async function ready({ engine }: Watched, wanted: number): Promise<string | undefined> {
  let said: string | undefined;
  await until(async () => {
    const { status, body } = await engine.request('GET', '/health/ready');
    const { work_loop: loop, database } = body.checks as Record<string, { status: string; message?: string }>;
    said = loop!.message;
    // A busy machine may keep the database or the loop itself waiting for a while.
    return status === wanted && database!.status === 'ok' && !said?.startsWith('No heartbeat');
  });
  return said;
}

async function startBySql({ database }: Watched, template: string, count: number): Promise<string[]> {
  const { rows } = await database.pool.query('select workflow_start($1) as id from generate_series(1, $2)', [
    template,
    count,
  ]);
  return rows.map(({ id }) => id);
}

async function gated({ engine, database }: Watched, more: JsonObject = {}): Promise<string> {
  const gate = { type: 'gate', with: { name: 'gate' }, ...more };
  const id = await engine.start(
    await engine.publish({ steps: { g: gate, h: gate, after: { type: 'record', needs: ['g', 'h'] } } }),
  );
  await database.until('select true from test_runs where execution_id = $1', [id]);
  return id;
}

let waiting: string[];
let unheard: string;
let held: string[];

test('an engine that looks for work in vain, or commits in vain, is not ready; one that is merely full is', async () => {
  const template = await starving.engine.publish(ONE_STEP);
  unheard = await gated(mute);
  held = [
    await gated(full, { concurrency: { key: 'one', limit: 1 } }),
    ...(await startBySql(full, await full.engine.publish(ONE_STEP), 5)),
  ];

  starving.proxy.silence('work');
  waiting = await startBySql(starving, template, 20);
  mute.proxy.silence('commit', 'work');
  await mute.database.openGate('gate');

  const said = await Promise.all([ready(starving, 503), ready(mute, 503)]);
  expect(said).toEqual([
    'Work is due, but nothing comes of looking for it.',
    'Commits were sent, but none goes through.',
  ]);
  // The process itself is well: a probe that restarts is another matter.
  expect((await starving.engine.request('GET', '/health/live')).status).toBe(200);
  await ready(full, 200);
});

test('others take the work of an engine that is stuck, which does not make it well', async () => {
  const others = await fixture.engine({ url: starving.database.url, name: 'others' });
  try {
    const ends = await Promise.all(waiting.map((id) => others.end(id)));
    expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['completed']));
    expect(new Set((await starving.database.runs()).map(({ engine }) => engine))).toEqual(
      new Set(['others']),
    );
    expect((await starving.engine.request('GET', '/health/ready')).status).toBe(503);
  } finally {
    await others.stop();
  }
});

test('an engine that can look again is ready, and takes work', async () => {
  starving.proxy.heal();
  expect(await ready(starving, 200)).toBeUndefined();
  const [id] = await startBySql(starving, await starving.engine.publish(ONE_STEP), 1);
  expect((await starving.engine.end(id!)).status).toBe('completed');
});

test('an engine whose commits are answered again records what its steps gave back, once', async () => {
  mute.proxy.heal();
  expect(await ready(mute, 200)).toBeUndefined();
  expect((await mute.engine.end(unheard)).status).toBe('completed');
  const runs = await mute.database.runs(unheard);
  expect(runs.map(({ step, attempt }) => `${step} ${attempt}`).sort()).toEqual(['after 1', 'g 1', 'h 1']);
});

test('what a full engine held back completes', async () => {
  await full.database.openGate('gate');
  for (const id of held) expect((await full.engine.end(id)).status).toBe('completed');
});
