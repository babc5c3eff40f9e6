/**
 * Upgrades while engines run: what engines of the version before leave behind or still write is finished by this
 * version, and a schema that is newer than an engine knows stops none.
 */
import { describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { GUARD_FAILED } from '../../../db/statement.ts';
import { installBoss } from '../../../queue/boss.ts';
import { sized } from '../../support/core/size.ts';
import { PreviousEngine } from '../../support/database/previous-engine.ts';
import { migrateUpTo, migrationNames } from '../../support/database/schema-versions.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';

const fixture = fixtureForEach();

const CHAIN = {
  steps: {
    a: { type: 'record', with: { value: 'new a' } },
    b: { type: 'record', needs: ['a'], with: { value: '${{ inputs.a }}, ${{ input.n }}' } },
  },
};
const WAITING = { steps: { w: { type: 'delay', with: { for: '10ms' } } } };
const FLAKY = { steps: { f: { type: 'flaky', with: { failures: 1 }, retry: { limit: 3 } } } };

interface Left {
  readonly execution: string;
  readonly outputs: unknown;
  /** Attempts of its steps. */
  readonly attempts: Readonly<Record<string, number>>;
}

/** Executions in every state that any engine goes on from. */
async function leaveBehind(old: PreviousEngine): Promise<Left[]> {
  return [
    await leavePending(old),
    await leavePutOff(old),
    await leaveReady(old),
    await leaveParked(old),
    await leaveRetrying(old),
  ];
}

async function leavePending(old: PreviousEngine): Promise<Left> {
  const execution = randomUUID();
  await old.insertExecution(execution, await old.publish(CHAIN), 'pending');
  return { execution, outputs: { b: 'new a, 1' }, attempts: { a: 1, b: 1 } };
}

async function leavePutOff(old: PreviousEngine): Promise<Left> {
  const execution = randomUUID();
  const template = await old.publish(CHAIN);
  await old.transaction(async () => {
    await old.insertExecution(execution, template, 'pending', 10);
    await old.insertJob('WorkflowExecutionQueue', execution, { kind: 'start', execution_id: execution }, 10);
  });
  return { execution, outputs: { b: 'new a, 1' }, attempts: { a: 1, b: 1 } };
}

/** The first step is done, the second is ready and has its ticket. */
async function leaveReady(old: PreviousEngine): Promise<Left> {
  const { execution, a, b } = await beginChain(old);
  await completeFirst(old, execution, a, b);
  return { execution, outputs: { b: 'old a, 1' }, attempts: { a: 1, b: 1 } };
}

async function beginChain(old: PreviousEngine) {
  const {
    execution,
    step: a,
    added,
  } = await beginOne(old, CHAIN, 'a', async (id, steps) => {
    const waiting = { id: randomUUID(), execution: id, template: steps.b!, sequence: 1 };
    await old.insertSteps([{ ...waiting, status: 'waiting_inputs', required: 1, received: null }]);
    return waiting.id;
  });
  return { execution, a, b: added! };
}

async function completeFirst(old: PreviousEngine, execution: string, a: string, b: string): Promise<void> {
  await old.transaction(async () => {
    await old.advance(execution, 1);
    await old.completeStep(a, 1, '"old a"', 2);
    const received = [{ key: 'a', live: true, route: null }];
    await old.changeStep({
      id: b,
      from: ['waiting_inputs', 0, null],
      to: ['queued', 0, null],
      sequence: 2,
      received,
    });
    await old.insertInput(b, a);
    await old.insertJob('StepExecutionQueue', b, { kind: 'step', execution_id: execution, step_id: b });
  });
}

/** A running execution whose one step the old engine runs; `more` may add steps. */
async function beginOne(
  old: PreviousEngine,
  definition: Parameters<PreviousEngine['publish']>[0],
  key: string,
  more: (execution: string, steps: Readonly<Record<string, string>>) => Promise<string | null> = async () =>
    null,
) {
  const [execution, step] = [randomUUID(), randomUUID()];
  const { id, steps } = await old.publish(definition);
  let added: string | null = null;
  await old.transaction(async () => {
    await old.insertExecution(execution, { id, steps }, 'running');
    const row = { id: step, execution, template: steps[key]!, sequence: 1, received: [] };
    await old.insertSteps([{ ...row, status: 'running', attempt: 1, owner: old.id }]);
    added = await more(execution, steps);
  });
  return { execution, step, added: added as string | null };
}

/** Timers of the version before do not say which transition set them. */
const timer = (execution_id: string, step_id: string) =>
  ({ kind: 'timer', execution_id, step_id, attempt: 1, purpose: 'resume' }) as const;

async function leaveParked(old: PreviousEngine): Promise<Left> {
  const { execution, step } = await beginOne(old, WAITING, 'w');
  await old.transaction(async () => {
    await old.advance(execution, 1);
    const from = ['running', 1, old.id] as const;
    const to = ['waiting', 1, null] as const;
    await old.changeStep({ id: step, from, to, sequence: 2, parked: true, timerMs: 10 });
    await old.insertJob('StepExecutionQueue', step, timer(execution, step), 10);
  });
  return { execution, outputs: { w: { waitedMs: expect.any(Number) } }, attempts: { w: 1 } };
}

async function leaveRetrying(old: PreviousEngine): Promise<Left> {
  const { execution, step } = await beginOne(old, FLAKY, 'f');
  await old.transaction(async () => {
    await old.advance(execution, 1);
    const from = ['running', 1, old.id] as const;
    const to = ['retrying', 1, null] as const;
    const error = ['flaky', 'not yet'] as const;
    await old.changeStep({ id: step, from, to, sequence: 2, retries: 1, error, timerMs: 10 });
    await old.insertJob('StepExecutionQueue', step, timer(execution, step), 10);
  });
  return { execution, outputs: { f: { attempt: 2 } }, attempts: { f: 2 } };
}

/** Lost with its engine, which may still write its result. */
async function leaveRunning(old: PreviousEngine): Promise<{ lost: Left; late(): Promise<void> }> {
  const { execution, a, b } = await beginChain(old);
  return {
    lost: { execution, outputs: { b: 'new a, 1' }, attempts: { a: 2, b: 1 } },
    late: () => completeFirst(old, execution, a, b),
  };
}

async function finishes(engine: TestEngine, left: readonly Left[]): Promise<void> {
  for (const { execution, outputs, attempts } of left) {
    const end = await engine.end(execution);
    expect(end).toMatchObject({ status: 'completed', outputs });
    const found = Object.keys(attempts).map((key) => [key, stepOf(end, key).attempt_count]);
    expect(Object.fromEntries(found)).toEqual(attempts);
  }
}

/** Databases of earlier schemas, by version: each is a copy of the one before it, with the migrations between them. */
async function databasesOf(versions: readonly number[]): Promise<Map<number, string>> {
  const made = new Map<number, string>();
  let before: string | undefined;
  for (const version of versions) {
    const options = before === undefined ? { migrated: false } : { copyOf: before };
    const { url, pool } = await fixture.database(options);
    await migrateUpTo(url, version);
    if (before === undefined) await installBoss({ url, schema: 'pgboss', onError: () => {} });
    // To be copied it must be left alone.
    await pool.end();
    made.set(version, url);
    before = url;
  }
  return made;
}

const join = (url: string) => fixture.use(PreviousEngine.join(url), (old) => old.leave());

async function upgrade(version: number, url: string): Promise<void> {
  const old = await join(url);
  const left = await leaveBehind(old);
  const { lost, late } = await leaveRunning(old);
  await old.fallSilent();
  const engine = await fixture.engine({ url, name: `over ${version}` });
  await finishes(engine, [...left, lost]);
  expect(await late().catch(({ code }) => code)).toBe(GUARD_FAILED);
}

test('what was under way in a database of any earlier schema completes after the upgrade, and what comes late is refused', async () => {
  const newest = (await migrationNames()).length;
  const earlier = Array.from({ length: newest - 1 }, (_, at) => at + 1);
  // The first, the last, and some between them.
  const versions = sized(
    earlier.filter((version) => version % 12 === 1 || version === newest - 1),
    earlier,
  );
  const databases = await databasesOf(versions);
  // Some at a time: each engine has its connections.
  const all = [...databases];
  while (all.length > 0) await Promise.all(all.splice(0, 6).map(([version, url]) => upgrade(version, url)));
});

describe('an engine of the version before, beside this version on its schema,', () => {
  let database: EngineDatabase;
  let old: PreviousEngine;

  const beside = async (config: Record<string, string>, work: (engine: TestEngine) => Promise<void>) => {
    database = await fixture.database();
    const engine = await fixture.engine({ config });
    old = await join(database.url);
    const beat = 'update execution_engines set heartbeat_at = now() where id = $1';
    const beating = setInterval(() => database.pool.query(beat, [old.id]).catch(() => {}), 1_000);
    await fixture.use(beating, clearInterval);
    await work(engine);
  };

  test('runs its own steps, and what it makes ready or leaves waiting this version goes on with', () =>
    beside({}, async (engine) => {
      const { execution, a, b } = await beginChain(old);
      await finishes(engine, await leaveBehind(old));
      expect(await database.runs(execution)).toEqual([]);
      await completeFirst(old, execution, a, b);
      const end = await engine.end(execution);
      expect(end).toMatchObject({ status: 'completed', outputs: { b: 'old a, 1' } });
      expect(stepOf(end, 'a').attempt_count).toBe(1);
    }));

  test('hears of this version, begins what its API took, and ends it', () =>
    beside({ EXECUTION_ENGINE_ROLE: 'api' }, async (engine) => {
      const template = await engine.publish({ steps: { only: { type: 'record' } } });
      const execution = await engine.start(template);
      const [seen] = await old.send('pulse', [old.id, 0, '{}', false]);
      expect(seen).toMatchObject({ registered: true, peers: [engine.engine.id], has_jobs: true });
      await runOne(execution);
      const end = await engine.end(execution);
      expect(end).toMatchObject({ status: 'completed', outputs: { only: 'of the old' } });
      expect(await old.send('steps_of_the_dead', [10])).toEqual([]);
      await old.send('unregister_engine', [old.id]);
    }));

  /** As that engine does it: begin and claim in one transaction, complete and end in another. */
  async function runOne(execution: string): Promise<void> {
    const step = randomUUID();
    await old.transaction(async () => {
      const picked = await old.send('pick_pending', [10, randomUUID(), '{}']);
      expect(picked.map(({ id }) => id)).toEqual([execution]);
      const [row] = await old.send('lock_executions', [[execution]]);
      expect(row).toMatchObject({ id: execution, status: 'pending', sequence: '0' });
      expect(await old.send('load_steps', [[execution]])).toEqual([]);
      const { rows } = await database.pool.query(
        'select id from workflow_step_templates where workflow_template_id = $1',
        [row!.workflow_template_id],
      );
      await old.changeExecution(execution, 0, 'pending', 'running');
      const claim = { status: 'running', attempt: 1, owner: old.id, received: [] };
      await old.insertSteps([{ id: step, execution, template: rows[0].id, sequence: 1, ...claim }]);
    });
    expect(await old.send('read_step_phases', [[step]])).toMatchObject([
      { status: 'running', attempt_count: 1 },
    ]);
    await old.transaction(async () => {
      await old.changeExecution(execution, 1, 'running', 'completed', '{"only":"of the old"}');
      await old.completeStep(step, 1, '"of the old"', 2);
    });
  }
});

describe('a schema that is newer than the engine knows', () => {
  test('stops neither engines that run nor one that is started again, which says so', async () => {
    const database = await fixture.database();
    const engine = await fixture.engine({ config: { EXECUTION_ENGINE_CONCURRENCY: '1' } });
    const held = await engine.start(
      await engine.publish({
        steps: { g: { type: 'gate', with: { name: 'newer' } }, after: { type: 'record', needs: ['g'] } },
      }),
    );
    await database.until('select true from test_runs where execution_id = $1', [held]);
    await expand(database);

    const again = await fixture.engineProcess();
    expect(again.output()).toContain('9999_expand.sql');
    expect((await again.run(CHAIN, { inputs: { n: 2 } })).outputs).toEqual({ b: 'new a, 2' });
    again.kill('SIGTERM');
    expect(await again.exited).toBe(0);

    expect((await engine.request('GET', '/health/ready')).status).toBe(200);
    await database.openGate('newer');
    expect((await engine.end(held)).status).toBe('completed');
    expect((await engine.run(CHAIN, { inputs: { n: 1 } })).outputs).toEqual({ b: 'new a, 1' });
  });

  /** As a later version would: a column on every table, a table, an index, a function. */
  async function expand({ pool }: EngineDatabase): Promise<void> {
    const tables = ['executions', 'step_executions', 'input_tracker', 'templates', 'step_templates'];
    await pool.query(`
      begin;
      ${tables.map((table) => `alter table workflow_${table} add column newer text not null default 'newer';`).join('')}
      alter table execution_engines add column newer integer not null default 1;
      create table workflow_newer (id uuid primary key);
      create index on workflow_step_executions (newer);
      insert into execution_engine_migrations (name, checksum) values ('9999_expand.sql', 'of a later version');
      commit`);
  }
});
