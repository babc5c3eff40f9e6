/**
 * Engines that share the scopes of one step, and are killed, drained or frozen in the middle, or get no answer to their
 * commits: every item is completed once, the results are in order, and nothing is left over. When the scopes are undone
 * meanwhile, every item is undone once.
 */
import { expect, test } from 'bun:test';
import { chance } from '../../../chaos/chance.ts';
import { PostgresProxy } from '../../../chaos/stage/proxy.ts';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { sized } from '../../support/core/size.ts';
import type { EngineDatabase, EngineProcess, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const CONFIG = { EXECUTION_ENGINE_CONCURRENCY: '8', EXECUTION_ENGINE_DRAIN_GRACE: '0ms' };
/** More of each round than `stays` has slots: some are left to the engine that comes and goes. */
const ITEMS = sized(72, 200);
const OUTER = sized(6, 10);
const INNER = 12;
const ROUNDS = ['SIGKILL', 'SIGTERM', 'SIGSTOP', 'SIGKILL'] as const;

let database: EngineDatabase;
let stays: EngineProcess;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  stays = await fixture.engineProcess({ name: 'stays', config: CONFIG });
});

const foreach = (items: Json, steps: JsonObject, more: JsonObject): JsonObject => ({
  type: 'foreach',
  with: { items, steps, ...more },
});
/** Waits for the gate of its round, and fails its first attempt. */
const WORK: JsonObject = {
  held: { type: 'gate', with: { name: `\${{ input.gate }}-\${{ index % ${ROUNDS.length} }}` } },
  flaky: { type: 'flaky', needs: ['held'], retry: { limit: 3, delay: 1 } },
  last: { type: 'transform', needs: ['flaky'], with: { value: '${{ item }}' } },
};
const RESULT = '${{ steps.last.output }}';
const FLAT = { steps: { each: foreach(ITEMS, WORK, { concurrency: 30, output: RESULT }) } };
const NESTED = {
  steps: {
    outer: foreach(
      OUTER,
      { inner: foreach(INNER, WORK, { concurrency: 6, output: '${{ [index, steps.last.output] }}' }) },
      { concurrency: 5, output: '${{ steps.inner.output }}' },
    ),
  },
};
/** Completes at once, and waits for the gate of its round when it is undone. */
const UNDONE: JsonObject = {
  a: { type: 'transform', with: { value: '${{ item }}' }, compensateWith: WORK.held as JsonObject },
};
const FAILS = { type: 'fail', needs: ['outer'], with: { message: 'to be undone' } };
const UNDONE_NESTED = {
  steps: {
    outer: foreach(OUTER, { inner: foreach(INNER, UNDONE, { concurrency: 6 }) }, { concurrency: 5 }),
    fails: FAILS,
  },
};
const count = (length: number) => Array.from({ length }, (_, index) => index);
type Check = (engine: Pick<TestEngine, 'end'>, id: string) => Promise<void>;
const KINDS: readonly (readonly [name: string, definition: JsonObject, check: Check])[] = [
  ['of one level', FLAT, isWhole({ each: count(ITEMS) }, ITEMS)],
  [
    'of two levels',
    NESTED,
    isWhole(
      { outer: count(OUTER).map(() => count(INNER).map((index) => [index, index])) },
      OUTER * (INNER + 1),
    ),
  ],
  ['of two levels, which are undone', UNDONE_NESTED, isUndone(OUTER * (INNER + 1), OUTER * INNER)],
];

const runsOn = (engine: string, id: string, least: number) =>
  database.until(
    `select count(*) >= $3 from workflow_step_executions
      where workflow_execution_id = $1 and claimed_by = $2 and status = 'running'`,
    [id, engine, least],
  );
const holdsNothing = (engine: string) =>
  database.until(
    `select count(*) = 0 from workflow_step_executions where claimed_by = $1 and status = 'running'`,
    [engine],
  );

function isWhole(outputs: JsonObject, scopes: number): Check {
  return async (engine, id) => {
    const end = await engine.end(id);
    expect([end.status, end.outputs]).toEqual(['completed', outputs]);
    const { rows } = await database.pool.query(
      `select (select count(*)::integer from workflow_scopes where workflow_execution_id = $1) as scopes,
              (select count(*)::integer from workflow_scopes
                where workflow_execution_id = $1 and status = 'completed' and run = 1) as completed,
              (select count(*)::integer from workflow_step_executions
                where workflow_execution_id = $1 and status <> 'completed') as others,
              (select max(retry_count) from workflow_step_executions where workflow_execution_id = $1) as retries`,
      [id],
    );
    expect(rows).toEqual([{ scopes, completed: scopes, others: 0, retries: 1 }]);
  };
}

function isUndone(scopes: number, steps: number): Check {
  return async (engine, id) => {
    expect(await engine.end(id)).toMatchObject({ status: 'failed', error: { step: 'fails' }, uncertain: [] });
    const { rows } = await database.pool.query(
      `select (select count(*)::integer from workflow_scopes
                where workflow_execution_id = $1 and status = 'completed' and due_status is null) as scopes,
              (select count(*)::integer from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
                where s.workflow_execution_id = $1 and t.key like '%~compensation' and s.status = 'completed') as steps`,
      [id],
    );
    expect(rows).toEqual([{ scopes, steps }]);
  };
}

test.each(KINDS)('engines come and go in the middle of scopes %s', async (name, definition, check) => {
  const gate = name.replaceAll(/\W+/g, '-');
  const id = await stays.start(await stays.publish(definition), { inputs: { gate } });
  for (const [round, signal] of ROUNDS.entries()) {
    const doomed = await fixture.engineProcess({ name: `${gate}-${round}`, config: CONFIG });
    await runsOn(doomed.id, id, 1);
    doomed.kill(signal);
    const isFrozen = signal === 'SIGSTOP';
    await (isFrozen ? holdsNothing(doomed.id) : doomed.exited);
    await database.openGate(`${gate}-${round}`);
    if (!isFrozen) continue;
    // What it gives back now is late.
    doomed.kill('SIGCONT');
    doomed.kill('SIGTERM');
    await doomed.exited;
  }
  await check(stays, id);
});

test.each(KINDS)('commits get no answer in the middle of scopes %s', async (name, definition, check) => {
  const target = new URL(database.url);
  const proxy = await fixture.use(
    PostgresProxy.listen(
      () => Number(target.port),
      chance(
        KINDS.findIndex(([kind]) => kind === name),
        'scopes',
      ),
    ),
    (made) => made.close(),
  );
  const url = new URL(database.url);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  const gate = `eaten-${name.replaceAll(/\W+/g, '-')}`;
  for (const round of ROUNDS.keys()) await database.openGate(`${gate}-${round}`);
  const engine = await fixture.engine({ name: gate, url: url.href, recordsUrl: database.url });
  const template = await engine.publish(definition);
  proxy.faults.eat = 0.1;
  const id = await engine.start(template, { inputs: { gate } });
  await check(stays, id);
  proxy.faults.eat = 0;
  expect(proxy.counts.eaten).toBeGreaterThan(0);
});
