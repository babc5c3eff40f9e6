/**
 * Engines that differ: one without the step types of the others, or that does not understand a definition, does what it
 * can and leaves the rest to them.
 */
import { describe, expect, test } from 'bun:test';
import {
  type EngineDatabase,
  type EngineProcess,
  statuses,
  stepOf,
  type TestEngine,
} from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';
import { until } from '../../support/until.ts';

let database: EngineDatabase;
/** Has the step types for tests. */
let able: EngineProcess;
/** Has none but the built-in ones. */
let plain: TestEngine;

const fixture = fixtureForEach(async () => {
  database = await fixture.database();
  able = await fixture.engineProcess({ name: 'able' });
  plain = await startPlain();
});

const startPlain = () => fixture.engine({ name: 'plain', config: { EXECUTION_ENGINE_STEPS: '' } });

const gated = (gate: string) => ({
  steps: {
    first: { type: 'noop' },
    gate: { type: 'gate', needs: ['first'], with: { name: gate } },
    last: { type: 'noop', needs: ['gate'] },
  },
});

const killAble = async (): Promise<void> => {
  able.kill('SIGKILL');
  await able.exited;
};

async function startBySql(template: string): Promise<string> {
  const { rows } = await database.pool.query(`select workflow_start($1, '{}') as id`, [template]);
  return rows[0].id;
}

/** What an engine only comes by when it looks for it: an execution that lines up. */
async function runsOthers(engine: TestEngine): Promise<void> {
  const other = await engine.publish({ steps: { a: { type: 'noop' }, b: { type: 'noop', needs: ['a'] } } });
  expect((await engine.end(await startBySql(other))).status).toBe('completed');
}

/** When the jobs of an execution are due. */
async function jobsOf(id: string): Promise<string> {
  const { rows } = await database.pool.query(
    `select coalesce(string_agg(start_after::text, ',' order by id), '') as due from pgboss.job where data ->> 'execution_id' = $1`,
    [id],
  );
  return rows[0].due;
}

/** Its jobs were looked at in vain, and are still there. */
const putBack = (id: string, before: string) =>
  database.until(
    `select count(*) > 0 and string_agg(start_after::text, ',' order by id) <> $2 from pgboss.job where data ->> 'execution_id' = $1`,
    [id, before],
  );

const stepHas = (id: string, key: string, condition: string) =>
  database.until(
    `select coalesce(bool_or(${condition}), false) from workflow_step_executions s
       join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = $1 and t.key = $2`,
    [id, key],
  );

describe('an engine without a step type', () => {
  test('runs what it can of an execution, and leaves the steps of that type to the others', async () => {
    const chains = Object.fromEntries(
      Array.from({ length: 10 }, (_, at) => [
        [`a${at}`, { type: 'noop' }],
        [`b${at}`, { type: 'record', needs: [`a${at}`] }],
        [`c${at}`, { type: 'noop', needs: [`b${at}`] }],
      ]).flat(),
    );
    const template = await able.publish({ steps: chains });
    const ids = await Promise.all(Array.from({ length: 10 }, () => startBySql(template)));
    for (const id of ids) expect((await plain.end(id)).status).toBe('completed');
    const runs = await database.runs();
    expect(runs.map(({ engine }) => engine)).toEqual(Array(100).fill('able'));
  });

  test('goes on with everything else while nobody has the type, and shows, stops and cancels such executions', async () => {
    const template = await able.publish(gated('left'));
    const [running, stopped, cancelled] = await Promise.all([1, 2, 3].map(() => able.start(template)));
    await database.until('select count(*) = 3 from test_runs');
    await killAble();
    for (const id of [running!, stopped!, cancelled!]) await stepHas(id, 'gate', `s.status = 'queued'`);
    const pending = await startBySql(template);
    const looked = await jobsOf(running!);

    await runsOthers(plain);
    const shown = await plain.client.status(running!);
    expect(statuses(shown)).toEqual({ first: 'completed', gate: 'queued' });
    const waits = async () => stepOf(await plain.client.status(running!), 'gate').waiting_for;
    // An engine that was killed counts as alive until its last heartbeat is old.
    await until(async () => (await waits())?.kind === 'step_type');
    expect(await waits()).toEqual({ kind: 'step_type', type: 'gate' });
    await plain.request('POST', '/api/v1/execution/stop', { execution_id: stopped! });
    await plain.request('POST', `/admin/executions/${cancelled}/cancel`, {});
    expect((await plain.end(stopped!)).status).toBe('cancelled');
    expect((await plain.end(cancelled!)).status).toBe('cancelled');
    const refused = await plain.request('POST', '/api/v1/execution/start', { template });
    expect(refused).toMatchObject({
      status: 422,
      body: { type: 'urn:execution-engine:problem:invalid_definition' },
    });
    await putBack(running!, looked);
    await runsOthers(plain);
    await assertInvariants(database.url, { allFinal: false, accept: ['step-type-without-engine'] });

    await database.openGate('left');
    await fixture.engine({ name: 'again' });
    for (const id of [running!, pending]) expect((await plain.end(id)).status).toBe('completed');
    expect(stepOf(await plain.end(running!), 'gate').attempt_count).toBe(2);
    expect((await database.runs(pending)).map(({ engine }) => engine)).toEqual(['again']);
  });
});

describe('what no living engine can do', () => {
  const ageOf = async (queue: string) => {
    const text = await (await fetch(`${plain.url}/metrics`)).text();
    return Number(text.match(new RegExp(`queue_oldest_age_seconds{queue="${queue}"} (\\S+)`))?.[1]);
  };
  const warnings = async () => {
    const answer = await fetch(`${plain.url}/health`);
    const { warnings: found } = (await answer.json()) as { warnings: string[] };
    return found.filter((warning) => warning.startsWith('No living engine'));
  };
  const findings = async () => {
    const { body } = await plain.request('GET', '/admin/doctor?grace_seconds=10');
    return (body.findings as { invariant: string; examples: { id: string; detail: string }[] }[])
      .filter(({ invariant }) => invariant === 'step-type-without-engine')
      .flatMap(({ examples }) => examples);
  };
  const HOUR = 3_600;
  /** As if it had become ready an hour ago. */
  const age = (table: string, condition: string, id: string) =>
    database.pool.query(
      `update ${table} set updated_at = updated_at - interval '1 hour' where ${condition} and status in ('queued', 'pending')`,
      [id],
    );

  test('is told by the metrics, by health and by the doctor, however often it is looked at', async () => {
    const template = await able.publish(gated('nobody'));
    const running = await able.start(template);
    await database.until('select count(*) = 1 from test_runs');
    expect(await warnings()).toEqual([]);
    await killAble();
    await stepHas(running, 'gate', `s.status = 'queued'`);
    const pending = await startBySql(template);
    await age('workflow_step_executions', 'workflow_execution_id = $1', running);
    await age('workflow_executions', 'id = $1', pending);
    const looked = await jobsOf(running);
    await putBack(running, looked);
    expect(await ageOf('StepExecutionQueue')).toBeGreaterThan(HOUR);
    expect(await ageOf('WorkflowExecutionQueue')).toBeGreaterThan(HOUR);

    const found = await findings();
    expect(found.map(({ id }) => id).sort()).toContain(pending);
    expect(found.map(({ detail }) => detail).sort()).toEqual([
      'in line, and no living engine has all step types of its template',
      'queued, and no living engine has the type gate',
    ]);
    await until(async () => (await warnings()).length === 2);
    const [ofStep, ofTemplate] = await warnings();
    expect(ofStep).toStartWith('No living engine has the step type "gate", which 1 ready steps need.');
    expect(ofTemplate).toStartWith(
      `No living engine has all step types of template "${template}" (nobody has gate): 1 executions wait in line.`,
    );

    await database.openGate('nobody');
    await fixture.engine({ name: 'again' });
    for (const id of [running, pending]) expect((await plain.end(id)).status).toBe('completed');
    expect(await findings()).toEqual([]);
    expect(await ageOf('StepExecutionQueue')).toBe(0);
  });

  test('is not told of an engine of a version that does not say its types', async () => {
    await database.pool.query('update execution_engines set step_types = null where id <> $1', [
      plain.engine.id,
    ]);
    const running = await able.start(await able.publish(gated('silent')));
    await database.until('select count(*) = 1 from test_runs');
    await database.pool.query(
      `update workflow_step_executions set status = 'queued', claimed_by = null, updated_at = now() - interval '1 hour'
        where workflow_execution_id = $1 and status = 'running'`,
      [running],
    );
    expect(await findings()).toEqual([]);
    await plain.request('POST', `/admin/executions/${running}/cancel`, {});
    await database.openGate('silent');
  });
});

test('an engine that does not understand a definition leaves its executions, timers and jobs to those that do', async () => {
  await plain.stop();
  const gate = await able.publish(gated('not understood'));
  const delayed = await able.publish({
    steps: { pause: { type: 'delay', with: { for: '1h' } }, after: { type: 'record', needs: ['pause'] } },
  });
  const [running, parked] = await Promise.all([able.start(gate), able.start(delayed)]);
  await stepHas(parked!, 'pause', `s.status = 'waiting'`);
  await database.until('select count(*) = 1 from test_runs');
  await killAble();
  const rewrite = (change: string) =>
    database.pool.query(
      `update workflow_templates set definition_source = (definition_source::jsonb ${change})::text where name = any($1::text[])`,
      [[gate, delayed]],
    );
  await rewrite(`|| '{"later": true}'`);
  await database.pool.query('update pgboss.job set start_after = now()');
  const looked = await jobsOf(parked!);
  plain = await startPlain();
  const pending = await startBySql(delayed);
  await putBack(parked!, looked);
  await runsOthers(plain);
  await database.pool.query(
    `update workflow_step_executions set resume_at = now() - interval '1 hour' where workflow_execution_id = $1 and status = 'waiting'`,
    [parked],
  );
  expect(await plain.metric('execution_engine_timer_lateness_seconds')).toBeGreaterThan(3_600);
  const { rows } = await database.pool.query('select status from workflow_executions where id = $1', [
    pending,
  ]);
  expect(rows).toEqual([{ status: 'pending' }]);

  await rewrite(`- 'later'`);
  await database.openGate('not understood');
  const again = await fixture.engine({ name: 'again' });
  await stepHas(pending, 'pause', `s.status = 'waiting'`);
  await database.pool.query('update pgboss.job set start_after = now()');
  for (const id of [running!, parked!, pending]) expect((await again.end(id)).status).toBe('completed');
});
