/**
 * Engines that are alive but stuck: the heart beats on one connection while what is sent on the others is never
 * answered. They say so in their health, and others take the work.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { afterBeats } from '../../support/database/heartbeats.ts';
import type { EngineDatabase, EngineProcess } from '../../support/engine.ts';
import { type PoolProxy, proxyByUse } from '../../support/faults/pool-proxy.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

/** More than an engine may look for work in vain. */
const BEATS = 12;
const ONE_STEP = { steps: { a: { type: 'record' } } };

interface Watched {
  readonly database: EngineDatabase;
  readonly proxy: PoolProxy;
  readonly engine: EngineProcess;
}

const fixture = fixtureForAll();

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

test.concurrent('an engine that looks for work in vain is not ready, others take its work, and it takes work again once it can look', async () => {
  const starving = await start();
  const template = await starving.engine.publish(ONE_STEP);
  starving.proxy.silence('work');
  const waiting = await startBySql(starving, template, 20);
  expect(await ready(starving, 503)).toBe('Work is due, but nothing comes of looking for it.');
  // The process itself is well: a probe that restarts is another matter.
  expect((await starving.engine.request('GET', '/health/live')).status).toBe(200);

  const others = await fixture.engine({ url: starving.database.url, name: 'others' });
  const ends = await Promise.all(waiting.map((id) => others.end(id)));
  expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['completed']));
  expect(new Set((await starving.database.runs()).map(({ engine }) => engine))).toEqual(new Set(['others']));
  // That others work does not make it well.
  expect((await starving.engine.request('GET', '/health/ready')).status).toBe(503);
  await others.stop();

  starving.proxy.heal();
  expect(await ready(starving, 200)).toBeUndefined();
  const [id] = await startBySql(starving, template, 1);
  expect((await starving.engine.end(id!)).status).toBe('completed');
});

test.concurrent('an engine that commits in vain is not ready, and records once what its steps gave back when it can', async () => {
  const mute = await start();
  const unheard = await gated(mute);
  mute.proxy.silence('commit', 'work');
  await mute.database.openGate('gate');
  expect(await ready(mute, 503)).toBe('Commits were sent, but none goes through.');

  mute.proxy.heal();
  expect(await ready(mute, 200)).toBeUndefined();
  expect((await mute.engine.end(unheard)).status).toBe('completed');
  const runs = await mute.database.runs(unheard);
  expect(runs.map(({ step, attempt }) => `${step} ${attempt}`).sort()).toEqual(['after 1', 'g 1', 'h 1']);
});

test.concurrent('an engine that is merely full is ready, and completes what it held back', async () => {
  const full = await start({ EXECUTION_ENGINE_CONCURRENCY: '1' });
  const held = [
    await gated(full, { concurrency: { key: 'one', limit: 1 } }),
    ...(await startBySql(full, await full.engine.publish(ONE_STEP), 5)),
  ];
  await afterBeats(full.database, full.engine.id, BEATS);
  await ready(full, 200);
  await full.database.openGate('gate');
  for (const id of held) expect((await full.engine.end(id)).status).toBe('completed');
});
