/**
 * The doctor on a real database: it finds nothing where nothing is wrong, and every defect by its name and no other.
 */
import { describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import type { Db } from '../../../db/connection/client.ts';
import { findOffenders, type Snapshot, SQL_INVARIANTS, withSnapshots } from '../../../db/doctor/examine.ts';
import { newId } from '../../../db/uuid.ts';
import { examineDatabase, INVARIANTS } from '../../../services/doctor/doctor.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import {
  CHAIN,
  type Chain,
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
  waitingUntil,
} from '../../support/faults/damage.ts';
import { fixtureForAll, fixtureForEach } from '../../support/fixture.ts';
import { assertInvariants, OF_THE_SERVER, templateVersions } from '../../support/invariants.ts';

/** A healthy database with executions that are over: each test damages a copy of its own. */
interface Healthy {
  readonly url: string;
  readonly chain: Chain;
  readonly timed: Chain;
  readonly any: Chain;
  readonly failed: { readonly id: string; readonly step: string };
  readonly nested: Nested;
  readonly calling: Calling;
}

/** An execution whose step `call` has a child, whose one step is `one`. */
interface Calling {
  readonly id: string;
  readonly call: string;
  readonly child: string;
  readonly one: string;
}

/** An execution whose step `each` holds two scopes, each with the steps `one` and `two`. */
interface Nested {
  readonly id: string;
  readonly each: string;
}

const FAILING = { steps: { bad: { type: 'fail', with: { message: 'on purpose' } } } };
const NESTED = {
  steps: {
    each: {
      type: 'foreach',
      with: { items: 2, steps: { one: { type: 'record' }, two: { type: 'record', needs: ['one'] } } },
    },
  },
};
const ANY = {
  steps: {
    a: { type: 'record' },
    b: { type: 'record', needs: ['a'], join: 'any' },
    c: { type: 'record', needs: ['b'] },
  },
};

let healthy: Healthy;
let chain: Chain;
let failed: Healthy['failed'];
let database: EngineDatabase;

fixtureForAll(async (fixture) => {
  const original = await fixture.database();
  const engine = await fixture.engine();
  const [ran, timed, any] = [CHAIN, TIMED, ANY].map((definition) => runChain(original, engine, definition));
  const { execution_id: id, steps } = await engine.run(FAILING);
  failed = { id, step: steps[0]!.id };
  chain = await ran!;
  const scoped = await engine.run(NESTED);
  const nested = { id: scoped.execution_id, each: scoped.steps[0]!.id };
  const calling = await runCalling(engine);
  healthy = { url: original.url, chain, timed: await timed!, any: await any!, failed, nested, calling };
  // To be copied it must be left alone.
  await engine.stop();
  await original.pool.end();
});

const fixture = fixtureForEach(
  async () => {
    database = await fixture.database({ copyOf: healthy.url });
  },
  { withoutDoctor: 'the tests damage their databases' },
);

/** What is found without grace, by name. */
async function found(everything = false, accept = OF_THE_SERVER): Promise<Found> {
  const versions = templateVersions(database.url);
  const sources = { url: database.url, pgbossSchema: 'pgboss', versions };
  const { offenders, unanswered } = await examineDatabase(sources, { everything, graceSeconds: 0, accept });
  expect(unanswered).toEqual([]);
  return Object.fromEntries([...offenders].map(([{ name }, { rows }]) => [name, rows.map(({ id }) => id)]));
}

type Found = Readonly<Record<string, string[]>>;

/** Every invariant that a test of this file plants a defect of, and finds. */
const planted = new Set<string>();

/** A test that plants a defect and returns what was found, which this invariant must be part of. */
function finds(name: string, invariant: string, plant: () => Promise<Found>): void {
  planted.add(invariant);
  test(name, async () => expect(Object.keys(await plant())).toContain(invariant));
}

const change = (table: 'workflow_executions' | 'workflow_step_executions', id: string, changes: string) =>
  database.pool.query(`update ${table} set ${changes} where id = $1`, [id]);
const changeStep = (id: string, changes: string) => change('workflow_step_executions', id, changes);
const changeExecution = (id: string, changes: string) => change('workflow_executions', id, changes);
const job = (row: Parameters<typeof insertJob>[1]) => insertJob(database, row);
const LARGE_SCAN = /Seq Scan on workflow_(executions|step_executions|input_tracker)/;
const NOBODY = '00000000-0000-4000-8000-00000000dead';
const RUNNING = `status = 'running', completed_at = null, outputs = null`;
const COMPENSATING = `status = 'compensating', due_status = 'failed', completed_at = null, outputs = null`;
const UNDOING = `status = 'compensating', due_status = 'completed'`;

/** A living engine that says which types it has. */
async function engineWith(types: readonly string[]): Promise<void> {
  const engine = await immortalEngine(database);
  await database.pool.query('update execution_engines set step_types = $2 where id = $1', [engine, types]);
}

/** The foreach as it is while its second scope is open, whose second step waits. */
async function reopenScope({ id, each }: Nested): Promise<void> {
  await changeExecution(id, RUNNING);
  await changeStep(each, `status = 'waiting', waiting_for = '{"kind":"scopes"}', ${REOPENED}`);
  await database.pool.query(
    `update workflow_scopes set status = 'running', completed_at = null, outputs = null where step_execution_id = $1 and index = 1`,
    [each],
  );
  await database.pool.query(
    `update workflow_step_executions set status = 'waiting', waiting_for = '{"kind":"signal"}', ${REOPENED} where ${SECOND}`,
    [id],
  );
  await numbers(each, 'open_count = 1, completed_count = 1');
}

async function runCalling(engine: TestEngine): Promise<Calling> {
  const name = await engine.publish({ steps: { one: { type: 'record' } } });
  const { execution_id: id, steps } = await engine.run({
    steps: { call: { type: 'workflow', with: { name } } },
  });
  const child = steps[0]!.children![0]!.execution_id;
  const below = await engine.end(child);
  return { id, call: steps[0]!.id, child, one: below.steps[0]!.id };
}

/** The step that waits for its child, as it is before it has heard of the end. */
async function reopenCalling({ id, call, child }: Calling): Promise<void> {
  await changeExecution(id, RUNNING);
  const waitingFor = JSON.stringify({ kind: 'child', execution_id: child });
  await changeStep(call, `status = 'waiting', waiting_for = '${waitingFor}', ${REOPENED}`);
}

const REOPENED = 'completed_at = null, outputs = null, claimed_by = null, parked_at = now()';
/** The second step of the second scope. */
const SECOND = `workflow_execution_id = $1 and scope = 'each[1]'
                and step_template_id in (select id from workflow_step_templates where key = 'each/two')`;
const numbers = (each: string, changes: string) =>
  database.pool.query(`update workflow_held_scopes set ${changes} where step_execution_id = $1`, [each]);
const changeScope = (each: string, index: number, changes: string) =>
  database.pool.query(`update workflow_scopes set ${changes} where step_execution_id = $1 and index = $2`, [
    each,
    index,
  ]);

/** The end of the second scope, on its way to the holder. */
async function insertEnd({ id, each }: Nested): Promise<string> {
  const event = { run: 1, end: { index: 1, status: 'completed', failure: null } };
  const row = newId();
  await database.pool.query(
    `insert into workflow_inbox (id, workflow_execution_id, step_execution_id, event) values ($1, $2, $3, $4)`,
    [row, id, each, JSON.stringify(event)],
  );
  return row;
}

/** Name of what is found, what is planted, and the id that is named. */
type Plant = [invariant: string, what: string, plant: (healthy: Healthy) => Promise<string>];

const PLANTS: Plant[] = [
  [
    'queued-step-without-job',
    'whose job is gone',
    async ({ chain }) => {
      await reopen(database, chain, QUEUED);
      return chain.b;
    },
  ],
  [
    'step-type-without-engine',
    'that is ready, and whose type the one living engine does not have',
    async ({ chain }) => {
      await engineWith(['noop']);
      await reopen(database, chain, QUEUED);
      await job(ticketOf(chain));
      return chain.b;
    },
  ],
  [
    'step-type-without-engine',
    'in line, and whose types no living engine has all of',
    async ({ chain: { id } }) => {
      await engineWith(['noop']);
      await database.pool.query('delete from workflow_step_executions where workflow_execution_id = $1', [
        id,
      ]);
      await changeExecution(id, `status = 'pending', completed_at = null, outputs = null, started_at = null`);
      return id;
    },
  ],
  [
    'waiting-step-without-timer',
    'that waits, whose timer is gone',
    async ({ chain }) => {
      await reopen(database, chain, WAITING);
      return chain.b;
    },
  ],
  [
    'waiting-step-without-timer',
    'that is retried, with a job that is no timer',
    async ({ chain }) => {
      await reopen(database, chain, `status = 'retrying', attempt_count = 1, resume_at = now()`);
      return chain.b;
    },
  ],
  [
    'parked-step-without-deadline',
    'that waits for no timer, whose deadline is gone',
    async ({ chain }) => {
      const waiting = waitingUntil('null');
      await reopen(database, chain, `${waiting}, waiting_for = '{"kind":"signal"}', deadline_at = now()`);
      return chain.b;
    },
  ],
  [
    'claimed-task-without-timer',
    'that a worker has, whose timer is gone',
    async ({ chain }) => {
      const waiting = waitingUntil('null');
      await reopen(database, chain, `${waiting}, waiting_for = '{"kind":"task","queue":"q"}'`);
      await database.pool.query(
        `insert into workflow_tasks (step_execution_id, queue, priority, lease_ms, token, worker, lease_until)
         values ($1, 'q', 0, 1000, gen_random_uuid(), 'w', now())`,
        [chain.b],
      );
      return chain.b;
    },
  ],
  [
    'signal-overlooked',
    'that keeps the signal that its step waits for',
    async ({ chain }) => {
      const waiting = waitingUntil('null');
      await reopen(database, chain, `${waiting}, waiting_for = '{"kind":"signal","name":"paid"}'`);
      await database.pool.query(
        `insert into workflow_signals (workflow_execution_id, name, payload_hash, payload) values ($1, 'paid', '', '1')`,
        [chain.id],
      );
      return chain.id;
    },
  ],
  [
    'postponed-execution-without-timer',
    'that was put off',
    async ({ chain: { id, a, b, c } }) => {
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
    async ({ timed }) => {
      await reopen(database, timed, QUEUED);
      await job(ticketOf(timed));
      return timed.id;
    },
  ],
  [
    'stopping-execution-without-deadline',
    'whose grace time nobody watches',
    async ({ chain }) => {
      await reopen(database, chain, runningOn(await immortalEngine(database)));
      await changeExecution(chain.id, 'stop_requested_at = now()');
      return chain.id;
    },
  ],
  [
    'running-step-without-owner',
    'on an engine that is gone',
    async ({ chain }) => {
      await reopen(database, chain, runningOn(NOBODY));
      return chain.b;
    },
  ],
  [
    'running-step-without-owner',
    'on an engine that is silent',
    async ({ chain }) => {
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
    async ({ chain }) => {
      await reopen(database, chain, `status = 'running', attempt_count = 1`);
      return chain.b;
    },
  ],
  [
    'owner-contradicts-status',
    'that is queued and has one',
    async ({ chain }) => {
      await reopen(database, chain, QUEUED);
      await changeStep(chain.b, `claimed_by = '${NOBODY}'`);
      await job(ticketOf(chain));
      return chain.b;
    },
  ],
  [
    'undecided-join',
    'all of whose edges are resolved',
    async ({ chain }) => {
      await reopen(database, chain, `status = 'waiting_inputs', attempt_count = 0, received_inputs = '{}'`);
      return chain.b;
    },
  ],
  [
    'undecided-join',
    'that has as many live edges as it needs',
    async ({ any }) => {
      await reopen(database, any, `status = 'waiting_inputs', attempt_count = 0, received_inputs = '{}'`);
      return any.b;
    },
  ],
  [
    'execution-not-ended',
    'all of whose steps are final',
    async ({ chain: { id } }) => {
      await changeExecution(id, RUNNING);
      return id;
    },
  ],
  [
    'execution-not-ended',
    'that is being stopped with no step running',
    async ({ chain }) => {
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
    async ({ chain }) => {
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
    async ({ chain }) => {
      await reopen(database, chain, `status = 'cancelled', completed_at = now()`);
      return chain.b;
    },
  ],
  [
    'job-of-final-step',
    'that is completed',
    async ({ chain }) => {
      await job(ticketOf(chain));
      return chain.b;
    },
  ],
  [
    'job-of-final-step',
    'that is not there',
    async ({ chain: { id } }) => {
      await job({ id: NOBODY, data: { kind: 'step', execution_id: id, step_id: NOBODY } });
      return NOBODY;
    },
  ],
  [
    'job-not-awaited',
    'a ticket of a step that waits',
    async ({ chain }) => {
      await reopen(database, chain, WAITING);
      await job(timerOf(chain));
      await job(ticketOf(chain));
      return chain.b;
    },
  ],
  [
    'job-not-awaited',
    'a timer of a wait that is over',
    async ({ chain }) => {
      await reopen(database, chain, `${WAITING}, retry_count = 0`);
      await changeStep(chain.b, 'sequence = 2');
      await job(timerOf(chain));
      return chain.b;
    },
  ],
  [
    'job-of-final-execution',
    'a start of one that is over',
    async ({ chain: { id } }) => {
      await job({ queue: 'WorkflowExecutionQueue', id, data: { kind: 'start', execution_id: id } });
      return id;
    },
  ],
  [
    'job-with-another-id',
    'beside the right one',
    async ({ chain }) => {
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
    async ({ chain }) => {
      await reopen(database, chain, QUEUED);
      await job({ ...ticketOf(chain), state: 'cancelled' });
      return chain.b;
    },
  ],
  [
    'job-out-of-reach',
    'that somebody fetched',
    async ({ chain }) => {
      await reopen(database, chain, QUEUED);
      await job({ ...ticketOf(chain), state: 'active' });
      return chain.b;
    },
  ],
  [
    'job-out-of-reach',
    'a timer behind all others',
    async ({ chain }) => {
      await reopen(database, chain, WAITING);
      await job({ ...timerOf(chain), priority: 5 });
      return chain.b;
    },
  ],
  [
    'final-execution-with-open-step',
    'that nobody will run',
    async ({ chain: { c } }) => {
      await changeStep(c, `${QUEUED}, outputs = null, completed_at = null`);
      return c;
    },
  ],
  [
    'final-execution-without-row',
    'whose last row is gone',
    async ({ chain: { c } }) => {
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
    async ({ chain: { id } }) => {
      await changeExecution(id, `error = '{}'`);
      return id;
    },
  ],
  [
    'end-contradicts-status',
    'of a step without an end',
    async ({ chain: { c } }) => {
      await changeStep(c, 'completed_at = null');
      return c;
    },
  ],
  [
    'times-run-backwards',
    'of a step',
    async ({ chain: { c } }) => {
      await changeStep(c, `started_at = created_at - interval '1 hour'`);
      return c;
    },
  ],
  [
    'times-run-backwards',
    'of an execution',
    async ({ chain: { id } }) => {
      await changeExecution(id, `completed_at = started_at - interval '1 hour'`);
      return id;
    },
  ],
  [
    'inputs-contradict-edges',
    'of a step whose input is gone',
    async ({ chain: { c } }) => {
      await database.pool.query('delete from workflow_input_tracker where step_execution_id = $1', [c]);
      await changeStep(c, `received_inputs = '{}'`);
      return c;
    },
  ],
  [
    'received-inputs-contradict-edges',
    'of a step that received one too many',
    async ({ chain: { c } }) => {
      await changeStep(c, 'received_inputs = received_inputs || received_inputs');
      return c;
    },
  ],
  [
    'input-of-another-execution',
    'that crossed over',
    async ({ chain: { c } }) => {
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
    async ({ chain: { id } }) => {
      const { rows } = await database.pool.query(
        `insert into workflow_step_executions (workflow_execution_id, step_template_id, status, completed_at)
         select $1, step_template_id, 'completed', now() from workflow_step_executions where id = $2 returning id`,
        [id, failed.step],
      );
      return rows[0].id;
    },
  ],
  [
    'open-scope-of-step-that-goes-on',
    'that is completed',
    async ({ nested: { each } }) => {
      await changeScope(each, 1, `status = 'running', completed_at = null`);
      return each;
    },
  ],
  [
    'holder-of-no-open-scope',
    'that has heard of all of them',
    async ({ nested: { id, each } }) => {
      await changeExecution(id, RUNNING);
      await changeStep(each, `status = 'waiting', waiting_for = '{"kind":"scopes"}', ${REOPENED}`);
      return each;
    },
  ],
  [
    'scopes-contradict-numbers',
    'of a step that counts one too many',
    async ({ nested }) => {
      await reopenScope(nested);
      await numbers(nested.each, 'open_count = 2');
      return nested.each;
    },
  ],
  [
    'undone-scopes-contradict-numbers',
    'of a step that counts one too many',
    async ({ nested: { id, each } }) => {
      await changeExecution(id, COMPENSATING);
      await changeScope(each, 1, UNDOING);
      await numbers(each, 'undo_next = 0, undo_open = 2');
      await job({
        queue: 'WorkflowExecutionQueue',
        id: randomUUID(),
        data: { kind: 'inbox', execution_id: id, scope: `${each}[1]` },
      });
      return each;
    },
  ],
  [
    'undone-scope-at-rest',
    'whose ticket is gone',
    async ({ nested: { id, each } }) => {
      await changeExecution(id, COMPENSATING);
      await changeScope(each, 1, UNDOING);
      await numbers(each, 'undo_next = 0, undo_open = 1');
      return each;
    },
  ],
  [
    'inbox-without-ticket',
    'for a step that waits',
    async ({ nested }) => {
      await reopenScope(nested);
      await database.pool.query(
        `update workflow_step_executions set status = 'completed', completed_at = now() where ${SECOND}`,
        [nested.id],
      );
      await changeScope(nested.each, 1, `status = 'completed', completed_at = now()`);
      return insertEnd(nested);
    },
  ],
  [
    'inbox-of-final-execution',
    'that has its ticket',
    async ({ nested }) => {
      await job({
        queue: 'WorkflowExecutionQueue',
        id: randomUUID(),
        data: { kind: 'inbox', execution_id: nested.id },
      });
      return insertEnd(nested);
    },
  ],
  [
    'scope-without-steps',
    'whose rows are gone',
    async ({ nested }) => {
      await reopenScope(nested);
      await database.pool.query(
        `delete from workflow_step_executions where workflow_execution_id = $1 and scope = 'each[1]'`,
        [nested.id],
      );
      return nested.each;
    },
  ],
  [
    'scope-not-ended',
    'all of whose steps are final',
    async ({ nested }) => {
      await reopenScope(nested);
      await database.pool.query(
        `update workflow_step_executions set status = 'completed', completed_at = now() where ${SECOND}`,
        [nested.id],
      );
      return nested.each;
    },
  ],
  [
    'reached-step-of-scope-without-row',
    'whose row is gone',
    async ({ nested }) => {
      await reopenScope(nested);
      const { rows } = await database.pool.query(
        `delete from workflow_step_executions where ${SECOND} returning step_template_id`,
        [nested.id],
      );
      return rows[0].step_template_id;
    },
  ],
  [
    'waiting-step-without-child',
    'whose child was deleted',
    async ({ calling }) => {
      await reopenCalling(calling);
      await database.pool.query('delete from workflow_step_executions where id = $1', [calling.one]);
      await database.pool.query('delete from workflow_executions where id = $1', [calling.child]);
      return calling.call;
    },
  ],
  [
    'end-of-child-overlooked',
    'whose child is final',
    async ({ calling }) => {
      await reopenCalling(calling);
      return calling.call;
    },
  ],
  [
    'child-left-behind',
    'that runs, while its parent is final',
    async ({ calling: { child, one } }) => {
      await changeExecution(child, RUNNING);
      await changeStep(one, `status = 'waiting', waiting_for = '{"kind":"signal"}', ${REOPENED}`);
      return child;
    },
  ],
  [
    'compensating-execution-stands-still',
    'that has nothing to undo',
    async () => {
      await changeExecution(failed.id, `status = 'compensating', due_status = 'failed', completed_at = null`);
      return failed.id;
    },
  ],
  [
    'retries-over-limit',
    'of a step that may not be retried',
    async ({ chain: { c } }) => {
      await changeStep(c, 'retry_count = 1');
      return c;
    },
  ],
  [
    'negative-count',
    'of attempts that were never made',
    async ({ chain: { c } }) => {
      await changeStep(c, 'attempt_count = -1');
      return c;
    },
  ],
];

test('a healthy database has no finding, also when everything is looked at', async () => {
  expect(await found()).toEqual({});
  await assertInvariants(database.url);
});

test('a chain that stands in the middle is healthy as long as its jobs are there', async () => {
  await reopen(database, chain, QUEUED);
  await job(ticketOf(chain));
  await assertInvariants(database.url, { allFinal: false });
  await changeStep(chain.b, WAITING);
  await database.pool.query('delete from pgboss.job');
  await job(timerOf(chain));
  await assertInvariants(database.url, { allFinal: false });
});

test('a foreach that stands in the middle is healthy, also after an item of it was cancelled', async () => {
  const { nested } = healthy;
  await reopenScope(nested);
  await changeScope(nested.each, 0, `status = 'cancelled', outputs = null`);
  await database.pool.query(
    `update workflow_step_executions set status = 'cancelled', outputs = null where workflow_execution_id = $1 and scope = 'each[0]'`,
    [nested.id],
  );
  await database.pool.query(
    'delete from workflow_input_tracker where step_execution_id in (select id from workflow_step_executions where scope = $1)',
    ['each[0]'],
  );
  await numbers(nested.each, 'completed_count = 0, cancelled_count = 1');
  await assertInvariants(database.url, { allFinal: false });
});

describe('exactly one defect is found:', () => {
  for (const [invariant, what, plant] of PLANTS) {
    finds(`${invariant} ${what}`, invariant, async () => {
      const id = await plant(healthy);
      const all = await found();
      expect(all).toEqual({ [invariant]: [id] });
      return all;
    });
  }
});

describe('exactly one defect is found in what failed:', () => {
  finds('a step that failed without an error', 'failed-step-without-error', async () => {
    await changeStep(failed.step, 'error_code = null');
    const all = await found();
    expect(all).toEqual({ 'failed-step-without-error': [failed.step] });
    return all;
  });

  finds(
    'outputs of a step and of an execution that did not complete',
    'outputs-without-completion',
    async () => {
      await changeStep(failed.step, `outputs = '1'`);
      await changeExecution(failed.id, `outputs = '1'`);
      const all = await found();
      expect(all['outputs-without-completion']?.sort()).toEqual([failed.id, failed.step].sort());
      return all;
    },
  );

  finds('an execution that failed without an error', 'error-contradicts-status', async () => {
    await changeExecution(failed.id, 'error = null');
    const all = await found();
    expect(all).toEqual({ 'error-contradicts-status': [failed.id] });
    return all;
  });
});

describe('without the constraints that forbid it', () => {
  finds('an edge that is tracked twice is found', 'edge-tracked-twice', async () => {
    await database.pool.query(
      `alter table workflow_input_tracker
         drop constraint workflow_input_tracker_step_execution_id_from_step_executio_key`,
    );
    await database.pool.query(
      `insert into workflow_input_tracker (step_execution_id, from_step_execution_id)
       select step_execution_id, from_step_execution_id from workflow_input_tracker where step_execution_id = $1`,
      [chain.c],
    );
    const all = await found();
    expect(all).toEqual({ 'edge-tracked-twice': [chain.c] });
    return all;
  });

  finds('a step with two rows in its scope is found', 'step-twice-in-scope', async () => {
    const { id, b, c } = chain;
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
    const all = await found();
    expect(all).toEqual({ 'step-twice-in-scope': [[c, rows[0].id].sort()[0]!] });
    return all;
  });
});

describe('the database itself', () => {
  test.each([`retention_seconds = 60`, `policy = 'short'`])(
    'a queue that forgets its jobs, or takes some for others, is found: %p',
    async (changes) => {
      await database.pool.query(`update pgboss.queue set ${changes} where name = 'StepExecutionQueue'`);
      expect(await found()).toEqual({ 'queue-misconfigured': ['StepExecutionQueue'] });
    },
  );

  finds('a queue that is missing is found', 'queue-misconfigured', async () => {
    await database.pool.query(`delete from pgboss.queue where name = 'MergeExecutionQueue'`);
    const all = await found();
    expect(all).toEqual({ 'queue-misconfigured': ['MergeExecutionQueue'] });
    return all;
  });

  finds(
    'a server that may lose what it acknowledged is found, as the server of the tests is one',
    'database-not-durable',
    async () => {
      const all = await found(false, ['session-with-old-snapshot']);
      expect(all).toEqual({ 'database-not-durable': ['fsync', 'full_page_writes', 'synchronous_commit'] });
      return all;
    },
  );

  finds(
    'a session that sits in a transaction is found, and names itself',
    'session-with-old-snapshot',
    async () => {
      const idler = await fixture.client();
      await idler.query('begin');
      const { rows } = await idler.query('select pg_backend_pid()::text as pid');
      const all = await found(false, ['database-not-durable']);
      expect(all['session-with-old-snapshot']).toContain(rows[0].pid);
      return all;
    },
  );
});

describe('everything', () => {
  finds(
    'means executions as a whole: an edge that is tracked as what it is not is found',
    'execution-contradicts-definition',
    async () => {
      const { id, c } = chain;
      await database.pool.query(
        'update workflow_input_tracker set live = false where step_execution_id = $1',
        [c],
      );
      expect(await found()).toEqual({});
      const all = await found(true);
      expect(all).toEqual({ 'execution-contradicts-definition': [id] });
      return all;
    },
  );

  test('means scopes as a whole too', async () => {
    const { id } = healthy.nested;
    await database.pool.query(
      `update workflow_input_tracker set live = false
        where step_execution_id in (select id from workflow_step_executions where scope = 'each[1]')`,
    );
    expect(await found()).toEqual({});
    expect(await found(true)).toEqual({ 'execution-contradicts-definition': [id] });
  });

  test('means old ones too: what ended long ago is not looked at otherwise', async () => {
    const { id } = chain;
    const old = `00000000-0000-7000-8000-${id.slice(24)}`;
    await database.pool.query(
      `insert into workflow_executions (id, workflow_template_id, status, completed_at, error)
       select $2, workflow_template_id, 'completed', now(), '{}' from workflow_executions where id = $1`,
      [id, old],
    );
    expect(await found()).toEqual({});
    expect((await found(true))['error-contradicts-status']).toEqual([old]);
  });
});

describe('a step that an engine holds', () => {
  finds(
    'and knows nothing of is found by that engine, and by nobody else',
    'running-step-unknown-to-its-owner',
    async () => {
      const engine = await fixture.engine();
      await reopen(database, chain, `${runningOn(engine.engine.id)}, updated_at = now()`);
      expect(await found()).toEqual({});
      const { findings } = await engine.client.examine({ grace_seconds: 0, accept: [...OF_THE_SERVER] });
      const named = findings.map(({ invariant, examples }) => [invariant, examples.map(({ id }) => id)]);
      expect(named).toEqual([['running-step-unknown-to-its-owner', [chain.b]]]);
      return Object.fromEntries(named);
    },
  );
});

test('what has been so for less than the grace is no finding', async () => {
  await reopen(database, chain, `${QUEUED}, updated_at = now()`);
  const sources = { url: database.url, pgbossSchema: 'pgboss', versions: null as never };
  const request = { everything: false, graceSeconds: null, accept: OF_THE_SERVER };
  expect((await examineDatabase(sources, request)).offenders.size).toBe(0);
  await changeStep(chain.b, `updated_at = now() - interval '11 seconds'`);
  const { offenders } = await examineDatabase(sources, request);
  expect([...offenders.keys()].map(({ name }) => name)).toEqual(['queued-step-without-job']);
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
  const look = async ({ db }: Snapshot) => {
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
  };
  await withSnapshots(database.url, undefined, (take) => take(60_000, look));
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

test('every invariant has a name of its own, and a test here that plants and finds it', () => {
  const names = INVARIANTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z]+(-[a-z]+)+$/);
  expect([...planted].sort()).toEqual([...names].sort());
});
