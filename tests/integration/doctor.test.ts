/**
 * The doctor on a real database: it finds nothing where nothing is wrong, and every defect by its name and no other.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Db } from '../../db/connection/client.ts';
import { findOffenders, inSnapshot, SQL_INVARIANTS } from '../../db/doctor/examine.ts';
import { examineDatabase, INVARIANTS } from '../../services/doctor/doctor.ts';
import { type EngineDatabase, engineDatabase, startTestEngine } from '../support/engine.ts';
import {
  CHAIN,
  type Chain,
  clearAway,
  immortalEngine,
  insertJob,
  QUEUED,
  reopen,
  runChain,
  runningOn,
  TIMED,
  ticketOf,
  timerOf,
  WAITING,
} from '../support/faults/damage.ts';
import { assertInvariants, OF_THE_SERVER, templateVersions } from '../support/invariants.ts';

setDefaultTimeout(60_000);

let database: EngineDatabase;
const chains: Chain[] = [];
const timed: Chain[] = [];
let failed: { id: string; step: string };

const FAILING = { steps: { bad: { type: 'fail', with: { message: 'on purpose' } } } };
const ANY = {
  steps: {
    a: { type: 'record' },
    b: { type: 'record', needs: ['a'], join: 'any' },
    c: { type: 'record', needs: ['b'] },
  },
};
let any: Chain;
const SPARE = 8;
const spare = () => chains.pop()!;

beforeAll(async () => {
  database = await engineDatabase();
  const engine = await startTestEngine({ url: database.url });
  const template = await engine.publish(CHAIN);
  for (let at = 0; at < PLANTS.length + SPARE; at += 1)
    chains.push(await runChain(database, engine, { name: template, ...CHAIN }));
  timed.push(await runChain(database, engine, TIMED));
  any = await runChain(database, engine, ANY);
  const { execution_id: id, steps } = await engine.run(FAILING);
  failed = { id, step: steps[0]!.id };
  await engine.stop();
});

afterAll(() => database.drop());

/** Every invariant that a test of this file has planted and found. */
const planted = new Set<string>();

/** What is found without grace, by name. */
async function found(everything = false, accept = OF_THE_SERVER) {
  const versions = templateVersions(database.url);
  const sources = { url: database.url, pgbossSchema: 'pgboss', versions };
  const { offenders, unanswered } = await examineDatabase(sources, { everything, graceSeconds: 0, accept });
  expect(unanswered).toEqual([]);
  for (const { name } of offenders.keys()) planted.add(name);
  return Object.fromEntries([...offenders].map(([{ name }, { rows }]) => [name, rows.map(({ id }) => id)]));
}

const change = (table: 'workflow_executions' | 'workflow_step_executions', id: string, changes: string) =>
  database.pool.query(`update ${table} set ${changes} where id = $1`, [id]);
const changeStep = (id: string, changes: string) => change('workflow_step_executions', id, changes);
const changeExecution = (id: string, changes: string) => change('workflow_executions', id, changes);
const job = (row: Parameters<typeof insertJob>[1]) => insertJob(database, row);
const LARGE_SCAN = /Seq Scan on workflow_(executions|step_executions|input_tracker)/;
const NOBODY = '00000000-0000-4000-8000-00000000dead';
const RUNNING = `status = 'running', completed_at = null, outputs = null`;

/** Name of what is found, what is planted, and the id that is named. */
type Plant = [invariant: string, what: string, plant: (chain: Chain) => Promise<string>];

const PLANTS: Plant[] = [
  [
    'queued-step-without-job',
    'whose job is gone',
    async (chain) => {
      await reopen(database, chain, QUEUED);
      return chain.b;
    },
  ],
  [
    'waiting-step-without-timer',
    'that waits, whose timer is gone',
    async (chain) => {
      await reopen(database, chain, WAITING);
      return chain.b;
    },
  ],
  [
    'waiting-step-without-timer',
    'that is retried, with a job that is no timer',
    async (chain) => {
      await reopen(database, chain, `status = 'retrying', attempt_count = 1, resume_at = now()`);
      return chain.b;
    },
  ],
  [
    'postponed-execution-without-timer',
    'that was put off',
    async ({ id, a, b, c }) => {
      await database.pool.query('delete from workflow_step_executions where id = any($1::uuid[])', [
        [a, b, c],
      ]);
      await changeExecution(
        id,
        `status = 'pending', completed_at = null, outputs = null, started_at = null, start_after = now()`,
      );
      return id;
    },
  ],
  [
    'running-execution-without-deadline',
    'whose timeout nobody watches',
    async () => {
      const [chain] = timed;
      await reopen(database, chain!, QUEUED);
      await job(ticketOf(chain!));
      return chain!.id;
    },
  ],
  [
    'stopping-execution-without-deadline',
    'whose grace time nobody watches',
    async (chain) => {
      await reopen(database, chain, runningOn(await immortalEngine(database)));
      await changeExecution(chain.id, 'stop_requested_at = now()');
      return chain.id;
    },
  ],
  [
    'running-step-without-owner',
    'on an engine that is gone',
    async (chain) => {
      await reopen(database, chain, runningOn(NOBODY));
      return chain.b;
    },
  ],
  [
    'running-step-without-owner',
    'on an engine that is silent',
    async (chain) => {
      const engine = await immortalEngine(database);
      await database.pool.query(
        `update execution_engines set heartbeat_at = now() - interval '9 seconds' where id = $1`,
        [engine],
      );
      await reopen(database, chain, runningOn(engine));
      return chain.b;
    },
  ],
  [
    'owner-contradicts-status',
    'that runs and has no owner',
    async (chain) => {
      await reopen(database, chain, `status = 'running', attempt_count = 1`);
      return chain.b;
    },
  ],
  [
    'owner-contradicts-status',
    'that is queued and has one',
    async (chain) => {
      await reopen(database, chain, QUEUED);
      await changeStep(chain.b, `claimed_by = '${NOBODY}'`);
      await job(ticketOf(chain));
      return chain.b;
    },
  ],
  [
    'undecided-join',
    'all of whose edges are resolved',
    async (chain) => {
      await reopen(database, chain, `status = 'waiting_inputs', attempt_count = 0, received_inputs = '{}'`);
      return chain.b;
    },
  ],
  [
    'undecided-join',
    'that has as many live edges as it needs',
    async () => {
      await reopen(database, any, `status = 'waiting_inputs', attempt_count = 0, received_inputs = '{}'`);
      return any.b;
    },
  ],
  [
    'execution-not-ended',
    'all of whose steps are final',
    async ({ id }) => {
      await changeExecution(id, RUNNING);
      return id;
    },
  ],
  [
    'execution-not-ended',
    'that is being stopped with no step running',
    async (chain) => {
      await reopen(database, chain, QUEUED);
      await job(ticketOf(chain));
      await changeExecution(chain.id, 'stop_requested_at = now()');
      const id = `${chain.id.slice(0, 14)}85${chain.id.slice(16)}`;
      await job({
        queue: 'WorkflowExecutionQueue',
        id,
        data: { kind: 'stop_overdue', execution_id: chain.id },
      });
      return chain.id;
    },
  ],
  [
    'reached-step-without-row',
    'whose row is gone',
    async (chain) => {
      await reopen(database, chain, QUEUED);
      const { rows } = await database.pool.query(
        'delete from workflow_step_executions where id = $1 returning step_template_id',
        [chain.b],
      );
      return rows[0].step_template_id;
    },
  ],
  [
    'cancelled-step-in-running-execution',
    'that nobody stopped',
    async (chain) => {
      await reopen(database, chain, `status = 'cancelled', completed_at = now()`);
      return chain.b;
    },
  ],
  [
    'job-of-final-step',
    'that is completed',
    async (chain) => {
      await job(ticketOf(chain));
      return chain.b;
    },
  ],
  [
    'job-of-final-step',
    'that is not there',
    async ({ id }) => {
      await job({ id: NOBODY, data: { kind: 'step', execution_id: id, step_id: NOBODY } });
      return NOBODY;
    },
  ],
  [
    'job-not-awaited',
    'a ticket of a step that waits',
    async (chain) => {
      await reopen(database, chain, WAITING);
      await job(timerOf(chain));
      await job(ticketOf(chain));
      return chain.b;
    },
  ],
  [
    'job-not-awaited',
    'a timer of a wait that is over',
    async (chain) => {
      await reopen(database, chain, `${WAITING}, retry_count = 0`);
      await changeStep(chain.b, 'sequence = 2');
      await job(timerOf(chain));
      return chain.b;
    },
  ],
  [
    'job-of-final-execution',
    'a start of one that is over',
    async ({ id }) => {
      await job({ queue: 'WorkflowExecutionQueue', id, data: { kind: 'start', execution_id: id } });
      return id;
    },
  ],
  [
    'job-with-another-id',
    'beside the right one',
    async (chain) => {
      await reopen(database, chain, QUEUED);
      await job(ticketOf(chain));
      const id = randomUUID();
      await job({ ...ticketOf(chain), id });
      return id;
    },
  ],
  [
    'job-of-unknown-kind',
    'of another program',
    async () => {
      await job({ id: NOBODY, data: { hello: 'world' } });
      return NOBODY;
    },
  ],
  [
    'job-out-of-reach',
    'that somebody cancelled',
    async (chain) => {
      await reopen(database, chain, QUEUED);
      await job({ ...ticketOf(chain), state: 'cancelled' });
      return chain.b;
    },
  ],
  [
    'job-out-of-reach',
    'that somebody fetched',
    async (chain) => {
      await reopen(database, chain, QUEUED);
      await job({ ...ticketOf(chain), state: 'active' });
      return chain.b;
    },
  ],
  [
    'job-out-of-reach',
    'a timer behind all others',
    async (chain) => {
      await reopen(database, chain, WAITING);
      await job({ ...timerOf(chain), priority: 5 });
      return chain.b;
    },
  ],
  [
    'final-execution-with-open-step',
    'that nobody will run',
    async ({ c }) => {
      await changeStep(c, `${QUEUED}, outputs = null, completed_at = null`);
      return c;
    },
  ],
  [
    'final-execution-without-row',
    'whose last row is gone',
    async ({ c }) => {
      const { rows } = await database.pool.query(
        'delete from workflow_step_executions where id = $1 returning step_template_id',
        [c],
      );
      return rows[0].step_template_id;
    },
  ],
  [
    'error-contradicts-status',
    'of one that completed',
    async ({ id }) => {
      await changeExecution(id, `error = '{}'`);
      return id;
    },
  ],
  [
    'end-contradicts-status',
    'of a step without an end',
    async ({ c }) => {
      await changeStep(c, 'completed_at = null');
      return c;
    },
  ],
  [
    'times-run-backwards',
    'of a step',
    async ({ c }) => {
      await changeStep(c, `started_at = created_at - interval '1 hour'`);
      return c;
    },
  ],
  [
    'times-run-backwards',
    'of an execution',
    async ({ id }) => {
      await changeExecution(id, `completed_at = started_at - interval '1 hour'`);
      return id;
    },
  ],
  [
    'inputs-contradict-edges',
    'of a step whose input is gone',
    async ({ c }) => {
      await database.pool.query('delete from workflow_input_tracker where step_execution_id = $1', [c]);
      await changeStep(c, `received_inputs = '{}'`);
      return c;
    },
  ],
  [
    'received-inputs-contradict-edges',
    'of a step that received one too many',
    async ({ c }) => {
      await changeStep(c, 'received_inputs = received_inputs || received_inputs');
      return c;
    },
  ],
  [
    'input-of-another-execution',
    'that crossed over',
    async ({ c }) => {
      const { rows } = await database.pool.query(
        'update workflow_input_tracker set from_step_execution_id = $2 where step_execution_id = $1 returning id',
        [c, failed.step],
      );
      return rows[0].id;
    },
  ],
  [
    'step-of-another-template',
    'that strayed in',
    async ({ id }) => {
      const { rows } = await database.pool.query(
        `insert into workflow_step_executions (workflow_execution_id, step_template_id, status, completed_at)
         select $1, step_template_id, 'completed', now() from workflow_step_executions where id = $2 returning id`,
        [id, failed.step],
      );
      return rows[0].id;
    },
  ],
  [
    'retries-over-limit',
    'of a step that may not be retried',
    async ({ c }) => {
      await changeStep(c, 'retry_count = 1');
      return c;
    },
  ],
];

test('a healthy database has no finding, also when everything is looked at', async () => {
  expect(await found()).toEqual({});
  await assertInvariants(database.url);
});

test('a chain that stands in the middle is healthy as long as its jobs are there', async () => {
  const engine = await startTestEngine({ url: database.url });
  const chain = await runChain(database, engine, CHAIN);
  await engine.stop();
  await reopen(database, chain, QUEUED);
  await insertJob(database, ticketOf(chain));
  await assertInvariants(database.url, { allFinal: false });
  await changeStep(chain.b, WAITING);
  await database.pool.query('delete from pgboss.job');
  await insertJob(database, timerOf(chain));
  await assertInvariants(database.url, { allFinal: false });
  await clearAway(database, [chain.id]);
});

describe('exactly one defect is found:', () => {
  test.each(PLANTS)('%s %s', async (invariant, _what, plant) => {
    const chain = spare();
    const id = await plant(chain);
    try {
      expect(await found()).toEqual({ [invariant]: [id] });
    } finally {
      await clearAway(database, [
        chain.id,
        ...timed.map((one) => one.id).filter(() => invariant.includes('deadline')),
      ]);
      if (id === any.b) await clearAway(database, [any.id]);
    }
    expect(await found()).toEqual({});
  });
});

describe('exactly one defect is found in what failed:', () => {
  test('failed-step-without-error', async () => {
    await changeStep(failed.step, 'error_code = null');
    expect(await found()).toEqual({ 'failed-step-without-error': [failed.step] });
    await changeStep(failed.step, `error_code = 'failed'`);
  });

  test('outputs-without-completion of the step and of the execution', async () => {
    await changeStep(failed.step, `outputs = '1'`);
    await changeExecution(failed.id, `outputs = '1'`);
    const named = (await found())['outputs-without-completion'];
    expect(named?.sort()).toEqual([failed.id, failed.step].sort());
    await changeStep(failed.step, 'outputs = null');
    await changeExecution(failed.id, 'outputs = null');
  });

  test('error-contradicts-status of an execution without an error', async () => {
    await changeExecution(failed.id, 'error = null');
    expect(await found()).toEqual({ 'error-contradicts-status': [failed.id] });
    await changeExecution(failed.id, `error = '{"code":"failed","message":"on purpose","step":"bad"}'`);
  });
});

describe('without the constraints that forbid it', () => {
  test('an edge that is tracked twice is found', async () => {
    const { id, c } = spare();
    await database.pool.query(
      `alter table workflow_input_tracker
         drop constraint workflow_input_tracker_step_execution_id_from_step_executio_key`,
    );
    await database.pool.query(
      `insert into workflow_input_tracker (step_execution_id, from_step_execution_id)
       select step_execution_id, from_step_execution_id from workflow_input_tracker where step_execution_id = $1`,
      [c],
    );
    expect(await found()).toEqual({ 'edge-tracked-twice': [c] });
    await clearAway(database, [id]);
    await database.pool.query(
      'alter table workflow_input_tracker add unique (step_execution_id, from_step_execution_id)',
    );
  });

  test('a step with two rows in its scope is found', async () => {
    const { id, b, c } = spare();
    await database.pool.query('drop index workflow_step_executions_scope_step');
    const { rows } = await database.pool.query(
      `insert into workflow_step_executions (workflow_execution_id, step_template_id, status, completed_at)
       select $1, step_template_id, 'skipped', now() from workflow_step_executions where id = $2 returning id`,
      [id, c],
    );
    await database.pool.query(
      'insert into workflow_input_tracker (step_execution_id, from_step_execution_id) values ($1, $2)',
      [rows[0].id, b],
    );
    expect(await found()).toEqual({ 'step-twice-in-scope': [[c, rows[0].id].sort()[0]!] });
    await clearAway(database, [id]);
    await database.pool.query(
      'create unique index workflow_step_executions_scope_step on workflow_step_executions (workflow_execution_id, scope, step_template_id)',
    );
  });
});

describe('the database itself', () => {
  test('a queue that is missing, or forgets its jobs, is found', async () => {
    const { rows } = await database.pool.query(
      `update pgboss.queue set retention_seconds = 60 where name = 'StepExecutionQueue' returning retention_seconds`,
    );
    expect(rows).toHaveLength(1);
    expect(await found()).toEqual({ 'queue-misconfigured': ['StepExecutionQueue'] });
    await database.pool.query(
      `update pgboss.queue set retention_seconds = 315360000, policy = 'short' where name = 'StepExecutionQueue'`,
    );
    expect(await found()).toEqual({ 'queue-misconfigured': ['StepExecutionQueue'] });
    await database.pool.query(
      `update pgboss.queue set policy = 'standard' where name = 'StepExecutionQueue'`,
    );
    expect(await found()).toEqual({});
  });

  test('a server that may lose what it acknowledged is found, as the server of the tests is one', async () => {
    const named = await found(false, ['session-with-old-snapshot']);
    expect(named).toEqual({ 'database-not-durable': ['fsync', 'full_page_writes', 'synchronous_commit'] });
  });

  test('a session that sits in a transaction is found, and names itself', async () => {
    const client = new pg.Client({ connectionString: database.url, application_name: 'idler' });
    await client.connect();
    await client.query('begin');
    const { rows } = await client.query('select pg_backend_pid()::text as pid');
    const named = await found(false, ['database-not-durable']);
    expect(named['session-with-old-snapshot']).toContain(rows[0].pid);
    await client.end();
  });
});

describe('everything', () => {
  test('means executions as a whole: an edge that is tracked as what it is not is found', async () => {
    const { id, c } = spare();
    await database.pool.query('update workflow_input_tracker set live = false where step_execution_id = $1', [
      c,
    ]);
    expect(await found()).toEqual({});
    expect(await found(true)).toEqual({ 'execution-contradicts-definition': [id] });
    await clearAway(database, [id]);
  });

  test('means old ones too: what ended long ago is not looked at otherwise', async () => {
    const { id } = spare();
    const old = `00000000-0000-7000-8000-${id.slice(24)}`;
    await database.pool.query(
      `insert into workflow_executions (id, workflow_template_id, status, completed_at, error)
       select $2, workflow_template_id, 'completed', now(), '{}' from workflow_executions where id = $1`,
      [id, old],
    );
    expect(await found()).toEqual({});
    expect((await found(true))['error-contradicts-status']).toEqual([old]);
    await clearAway(database, [id, old]);
  });
});

test('a step that an engine holds and knows nothing of is found by that engine, and by nobody else', async () => {
  const engine = await startTestEngine({ url: database.url });
  const chain = spare();
  try {
    await reopen(database, chain, `${runningOn(engine.engine.id)}, updated_at = now()`);
    expect(await found()).toEqual({});
    const { findings } = await engine.client.examine({ grace_seconds: 0, accept: [...OF_THE_SERVER] });
    const named = findings.map(({ invariant, examples }) => [invariant, examples.map(({ id }) => id)]);
    expect(named).toEqual([['running-step-unknown-to-its-owner', [chain.b]]]);
    for (const { invariant } of findings) planted.add(invariant);
  } finally {
    await clearAway(database, [chain.id]);
    await engine.stop();
  }
});

test('what has been so for less than the grace is no finding', async () => {
  const chain = spare();
  await reopen(database, chain, `${QUEUED}, updated_at = now()`);
  const sources = { url: database.url, pgbossSchema: 'pgboss', versions: null as never };
  const request = { everything: false, graceSeconds: null, accept: OF_THE_SERVER };
  expect((await examineDatabase(sources, request)).offenders.size).toBe(0);
  await changeStep(chain.b, `updated_at = now() - interval '11 seconds'`);
  const { offenders } = await examineDatabase(sources, request);
  expect([...offenders.keys()].map(({ name }) => name)).toEqual(['queued-step-without-job']);
  await clearAway(database, [chain.id]);
});

test('a question that cannot be asked is named, and keeps no other from its answer', async () => {
  const sources = { url: database.url, pgbossSchema: 'nowhere', versions: null as never };
  const request = { everything: false, graceSeconds: 0, accept: OF_THE_SERVER };
  const { unanswered, checked } = await examineDatabase(sources, request);
  const names = unanswered.map(({ name }) => name);
  expect(names).toContain('queued-step-without-job');
  expect(names).not.toContain('error-contradicts-status');
  expect(unanswered[0]!.reason).toContain('nowhere.job');
  expect(checked.length).toBe(INVARIANTS.length - OF_THE_SERVER.length - 2);
});

test('what is not final is found by index: no large table is walked', async () => {
  const asked = {
    pgbossSchema: 'pgboss',
    graceSeconds: 0,
    since: 'ffffffff-ffff-7fff-bfff-ffffffffffff',
    most: 10,
  };
  await inSnapshot(database.url, { deadlineMs: 60_000 }, async ({ db }) => {
    for (const invariant of SQL_INVARIANTS) {
      let plan = '';
      const query = async (text: string, values: unknown[]) => {
        const { rows } = await db.query(`explain ${text}`, values);
        plan = rows.map((row) => row['QUERY PLAN']).join('\n');
        return { rows: [] };
      };
      await findOffenders({ query } as unknown as Db, invariant, asked);
      expect(plan).not.toBe('');
      expect([invariant.name, plan.match(LARGE_SCAN)?.[0]]).toEqual([invariant.name, undefined]);
    }
  });
});

test('an examination waits for no lock', async () => {
  const client = await database.pool.connect();
  try {
    await client.query('begin');
    await client.query(
      'lock table workflow_executions, workflow_step_executions, pgboss.job in exclusive mode',
    );
    expect(await found()).toEqual({});
  } finally {
    await client.query('rollback');
    client.release();
  }
});

// The last: it is about all tests before it.
test('every invariant has a name of its own, and each was planted here and found', () => {
  const names = INVARIANTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z]+(-[a-z]+)+$/);
  expect([...planted].sort()).toEqual([...names].sort());
});
