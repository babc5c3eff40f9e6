/**
 * The repair: what is planted is put right, the execution completes by itself, and the doctor is content. What would
 * be a guess stays as it is.
 */
import { describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { newId } from '../../../db/uuid.ts';
import type { DoctorReport } from '../../../services/doctor/report.ts';
import { sized } from '../../support/core/size.ts';
import { mayJudge } from '../../support/database/heartbeats.ts';
import { type EngineDatabase, engineCalls, stepOf, type TestEngine } from '../../support/engine.ts';
import {
  CHAIN,
  type Chain,
  clearAway,
  immortalEngine,
  insertJob,
  PATIENT,
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
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants, OF_THE_SERVER } from '../../support/invariants.ts';
import { countRuns, startSideBySide } from '../../support/volume.ts';
import { chainsSideBySide } from '../../support/wide-definition.ts';

const KEYS = { operator: 'key-of-the-operator', workspace: 'key-of-a-workspace' };
const NOBODY = '00000000-0000-4000-8000-00000000dead';
const AT_ONCE = { grace_seconds: 0, accept: [...OF_THE_SERVER] };

let database: EngineDatabase;
let engine: TestEngine;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  const keys = `${KEYS.operator}=admin,${KEYS.workspace}=aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa:admin`;
  engine = await fixture.engine({
    config: { EXECUTION_ENGINE_API_KEYS: keys },
    token: KEYS.operator,
  });
});

const run = (definition: Parameters<typeof runChain>[2]) => runChain(database, engine, definition);
const change = (table: string, id: string, changes: string) =>
  database.pool.query(`update ${table} set ${changes} where id = $1`, [id]);
const counts = ({ repaired }: DoctorReport) =>
  Object.fromEntries(repaired.map(({ invariant, count }) => [invariant, count]));

/** Repairs, and answers what was repaired; nothing may be left. */
async function repair(): Promise<Record<string, number>> {
  await mayJudge(database, engine.engine.id);
  const report = await engine.client.repair(AT_ONCE);
  expect({ ok: report.ok, findings: report.findings, unanswered: report.unanswered }).toEqual({
    ok: true,
    findings: [],
    unanswered: [],
  });
  return counts(report);
}

async function expectEnd({ id }: Chain, status = 'completed') {
  const end = await engine.end(id);
  expect(end.status).toBe(status as typeof end.status);
  return end;
}

describe('scopes', () => {
  const EACH = {
    steps: {
      each: { type: 'foreach', with: { items: 2, concurrency: 1, steps: { one: { type: 'record' } } } },
    },
  };
  const scope = (each: string, index: number, changes: string) =>
    database.pool.query(`update workflow_scopes set ${changes} where step_execution_id = $1 and index = $2`, [
      each,
      index,
    ]);

  /** The foreach as if it had not heard of its second scope, which is over. */
  async function beforeTheLastEnd(): Promise<{ id: string; each: string }> {
    const { execution_id: id, steps } = await engine.run(EACH);
    const each = steps[0]!.id!;
    await change(
      'workflow_executions',
      id,
      `status = 'running', completed_at = null, outputs = null, sequence = sequence + 1`,
    );
    await change(
      'workflow_step_executions',
      each,
      `status = 'waiting', waiting_for = '{"kind":"scopes"}', completed_at = null, outputs = null, claimed_by = null,
       parked_at = now()`,
    );
    await database.pool.query(
      'update workflow_held_scopes set open_count = 1, completed_count = 1 where step_execution_id = $1',
      [each],
    );
    return { id, each };
  }

  test('an end whose ticket is lost gets another one, and its step goes on', async () => {
    const { id, each } = await beforeTheLastEnd();
    await database.pool.query(
      `insert into workflow_inbox (id, workflow_execution_id, step_execution_id, event) values ($1, $2, $3, $4)`,
      [newId(), id, each, JSON.stringify({ run: 1, end: { index: 1, status: 'completed', failure: null } })],
    );
    expect(await repair()).toEqual({ 'inbox-without-ticket': 1 });
    expect((await engine.end(id)).outputs).toEqual({ each: [{ one: null }, { one: null }] });
    await assertInvariants(database.url);
  });

  test('a scope whose steps are all final ends, and its step goes on', async () => {
    const { id, each } = await beforeTheLastEnd();
    await scope(each, 1, `status = 'running', completed_at = null, outputs = null, sequence = sequence + 1`);
    expect(await repair()).toEqual({ 'scope-not-ended': 1 });
    expect((await engine.end(id)).outputs).toEqual({ each: [{ one: null }, { one: null }] });
    await assertInvariants(database.url);
  });

  test('a scope whose ticket is lost while it is undone is undone, and the execution ends', async () => {
    const one = { type: 'noop', compensateWith: { type: 'noop' } };
    const { execution_id: id, steps } = await engine.run({
      steps: {
        each: { type: 'foreach', with: { items: 2, steps: { one } } },
        no: { type: 'fail', needs: ['each'], with: { message: 'no' } },
      },
    });
    const each = steps[0]!.id!;
    await change(
      'workflow_executions',
      id,
      `status = 'compensating', due_status = 'failed', completed_at = null`,
    );
    await scope(each, 1, `status = 'compensating', due_status = 'completed'`);
    await database.pool.query(
      'update workflow_held_scopes set undo_next = 0, undo_open = 1 where step_execution_id = $1',
      [each],
    );
    await database.pool.query(
      `delete from workflow_step_executions where workflow_execution_id = $1 and scope = 'each[1]'
          and step_template_id in (select id from workflow_step_templates where key like '%~compensation')`,
      [id],
    );
    expect(await repair()).toEqual({ 'undone-scope-at-rest': 1 });
    expect((await engine.end(id)).status).toBe('failed');
    const undone = await engine.client.status(id, { scope: 'each[1]' });
    expect(undone.steps[0]!.compensation).toMatchObject({ status: 'completed' });
    await assertInvariants(database.url);
  });

  test('a scope that is open below a step that is over is cancelled', async () => {
    const { execution_id, steps } = await engine.run(EACH);
    const each = steps[0]!.id!;
    await scope(each, 1, `status = 'running', completed_at = null, outputs = null`);
    await database.pool.query(
      'update workflow_held_scopes set completed_count = 1, cancelled_count = 1 where step_execution_id = $1',
      [each],
    );
    expect(await repair()).toEqual({ 'open-scope-of-step-that-goes-on': 1 });
    const { rows } = await database.pool.query(
      'select status from workflow_scopes where workflow_execution_id = $1 order by index',
      [execution_id],
    );
    expect(rows.map(({ status }) => status)).toEqual(['completed', 'cancelled']);
    await assertInvariants(database.url);
  });
});

describe('a job that is lost is written again', () => {
  test('of a queued step, and the step runs once more and no more', async () => {
    const chain = await run(CHAIN);
    await reopen(database, chain, QUEUED);
    expect(await repair()).toEqual({ 'queued-step-without-job': 1 });
    await expectEnd(chain);
    const runs = (await database.runs(chain.id)).map(({ step }) => step);
    expect(runs).toEqual(['a', 'b', 'c', 'b', 'c']);
  });

  test('of a step that waits or is retried', async () => {
    const parked = await run(CHAIN);
    await reopen(database, parked, WAITING);
    const retried = await run(CHAIN);
    await reopen(database, retried, `status = 'retrying', attempt_count = 1, resume_at = now()`);
    expect(await repair()).toEqual({ 'waiting-step-without-timer': 2 });
    await engine.end(parked.id);
    expect(stepOf(await expectEnd(retried), 'b').attempt_count).toBe(2);
  });

  test('of a parked step that has a deadline, both of them', async () => {
    const chain = await run(PATIENT);
    await reopen(database, chain, `${waitingUntil(`now() + interval '1 hour'`)}, deadline_at = now()`);
    expect(await repair()).toEqual({ 'waiting-step-without-timer': 1, 'parked-step-without-deadline': 1 });
    const end = await expectEnd(chain, 'failed');
    expect(stepOf(end, 'b').error).toMatchObject({ code: 'timeout' });
  });

  test('not of a step with a timeout that an earlier version parked: no row says what its timer was for', async () => {
    const chain = await run(PATIENT);
    await reopen(database, chain, WAITING);
    const { ok, findings, repaired } = await engine.client.repair(AT_ONCE);
    expect([ok, repaired, findings.map(({ invariant, examples }) => [invariant, examples[0]!.id])]).toEqual([
      false,
      [],
      [['waiting-step-without-timer', chain.b]],
    ]);
    await engine.client.cancel(chain.id);
    await expectEnd(chain, 'cancelled');
  });

  test('of an execution that was put off', async () => {
    const name = await engine.publish(CHAIN);
    const id = await engine.start(name, { start_after: '1h' });
    await database.pool.query('delete from pgboss.job where id = $1', [id]);
    expect(await repair()).toEqual({ 'postponed-execution-without-timer': 1 });
    const { rows } = await database.pool.query(
      `select start_after between now() + interval '59 minutes' and now() + interval '61 minutes' as right
         from pgboss.job where id = $1`,
      [id],
    );
    expect(rows).toEqual([{ right: true }]);
    await database.pool.query('delete from pgboss.job where id = $1', [id]);
    await change('workflow_executions', id, `start_after = now() - interval '1 second'`);
    expect(await repair()).toEqual({ 'postponed-execution-without-timer': 1 });
    expect((await engine.end(id)).status).toBe('completed');
    await assertInvariants(database.url);
  });

  test('of a timeout, which is over then', async () => {
    const chain = await run(TIMED);
    await reopen(database, chain, waitingUntil(`now() + interval '1 day'`));
    await insertJob(database, timerOf(chain));
    await change(
      'workflow_executions',
      chain.id,
      `created_at = now() - interval '2 hours', started_at = now() - interval '2 hours'`,
    );
    expect(await repair()).toEqual({ 'running-execution-without-deadline': 1 });
    await expectEnd(chain, 'timed_out');
  });

  test('of a stop, whose grace time is over then', async () => {
    const chain = await run(CHAIN);
    await reopen(database, chain, runningOn(await immortalEngine(database)));
    await change('workflow_executions', chain.id, `stop_requested_at = now() - interval '1 hour'`);
    expect(await repair()).toEqual({ 'stopping-execution-without-deadline': 1 });
    await expectEnd(chain, 'cancelled');
    await clearAway(database, []);
  });
});

describe('a job that is too many is deleted', () => {
  const STRAYS: [string, (chain: Chain) => Parameters<typeof insertJob>[1]][] = [
    ['job-of-final-step', ticketOf],
    ['job-of-final-step', ({ id }) => ({ ...ticketOf({ id, a: '', b: NOBODY, c: '' }) })],
    [
      'job-of-final-step',
      () => ({ ...ticketOf({ id: NOBODY, a: '', b: NOBODY, c: '' }), queue: 'MergeExecutionQueue' }),
    ],
    [
      'job-of-final-execution',
      ({ id }) => ({
        queue: 'WorkflowExecutionQueue',
        id: `${id.slice(0, 14)}8d${id.slice(16)}`,
        data: { kind: 'deadline', execution_id: id },
      }),
    ],
  ];

  test.each(STRAYS)('%s', async (invariant, jobOf) => {
    await insertJob(database, jobOf(await run(CHAIN)));
    expect(await repair()).toEqual({ [invariant]: 1 });
  });

  test('job-not-awaited, and the right one stays', async () => {
    const chain = await run(CHAIN);
    await reopen(database, chain, waitingUntil(`now() + interval '1 day'`));
    await insertJob(database, { ...timerOf(chain), startAfter: `now() + interval '1 day'` });
    await insertJob(database, ticketOf(chain));
    expect(await repair()).toEqual({ 'job-not-awaited': 1 });
    await database.pool.query(
      `update pgboss.job set start_after = now() where id = $1 and name = 'WorkflowExecutionQueue'`,
      [chain.b],
    );
    await expectEnd(chain);
  });

  test('job-with-another-id, and the one that the row needs is written', async () => {
    const chain = await run(CHAIN);
    await reopen(database, chain, QUEUED);
    await insertJob(database, { ...ticketOf(chain), id: randomUUID() });
    expect(await repair()).toEqual({ 'job-with-another-id': 1, 'queued-step-without-job': 1 });
    await expectEnd(chain);
  });

  test.each(['cancelled', 'failed', 'completed'])('job-out-of-reach that is %s', async (state) => {
    const chain = await run(CHAIN);
    await reopen(database, chain, QUEUED);
    await insertJob(database, { ...ticketOf(chain), state });
    expect(await repair()).toEqual({ 'job-out-of-reach': 1, 'queued-step-without-job': 1 });
    await expectEnd(chain);
  });

  test('not one of another program', async () => {
    await insertJob(database, { id: NOBODY, data: { hello: 'world' } });
    const { ok, repaired, findings } = await engine.client.repair(AT_ONCE);
    expect([ok, repaired, findings.map(({ invariant }) => invariant)]).toEqual([
      false,
      [],
      ['job-of-unknown-kind'],
    ]);
    await clearAway(database, []);
  });
});

describe('what is stuck is decided by the engine', () => {
  test('a step of a dead engine is taken over, with the attempt counted', async () => {
    const chain = await run(CHAIN);
    await reopen(database, chain, runningOn(NOBODY));
    await repair();
    expect(stepOf(await expectEnd(chain), 'b').attempt_count).toBe(2);
  });

  test('a guard whose answer was lost with its engine is asked again', async () => {
    const { b } = CHAIN.steps;
    const chain = await run({ steps: { ...CHAIN.steps, b: { ...b, when: false } } });
    await reopen(database, chain, runningOn(NOBODY));
    await repair();
    const end = await expectEnd(chain);
    expect([stepOf(end, 'b').status, stepOf(end, 'c').status]).toEqual(['skipped', 'skipped']);
  });

  test('a step that this engine holds and knows nothing of is given back, with no attempt counted', async () => {
    const chain = await run(CHAIN);
    await reopen(database, chain, runningOn(engine.engine.id));
    expect(await repair()).toEqual({ 'running-step-unknown-to-its-owner': 1 });
    expect(stepOf(await expectEnd(chain), 'b').attempt_count).toBe(1);
  });

  test('it gives such a step back by itself when it has been so for a while', async () => {
    const chain = await run(CHAIN);
    await reopen(database, chain, runningOn(engine.engine.id));
    await database.pool.query(
      `update workflow_step_executions set updated_at = now() - interval '1 minute', started_at = created_at where id = $1`,
      [chain.b],
    );
    expect(stepOf(await expectEnd(chain), 'b').attempt_count).toBe(1);
  });

  test('a join that was never decided fires', async () => {
    const chain = await run(CHAIN);
    await reopen(
      database,
      chain,
      `status = 'waiting_inputs', attempt_count = 0, started_at = null, received_inputs = '{}'`,
    );
    expect(await repair()).toEqual({ 'undecided-join': 1 });
    expect(stepOf(await expectEnd(chain), 'b').received_inputs).toEqual([
      { key: 'a', live: true, route: null },
    ]);
  });

  test('a join whose edges are all dead is skipped, and what is behind it too', async () => {
    const chain = await run(CHAIN);
    await reopen(
      database,
      chain,
      `status = 'waiting_inputs', attempt_count = 0, started_at = null, received_inputs = '{}'`,
    );
    await change(
      'workflow_step_executions',
      chain.a,
      `status = 'skipped', outputs = null, attempt_count = 0, started_at = null`,
    );
    await database.pool.query('update workflow_input_tracker set live = false where step_execution_id = $1', [
      chain.b,
    ]);
    expect(await repair()).toEqual({ 'undecided-join': 1 });
    const end = await expectEnd(chain);
    expect(end.steps.map(({ status }) => status)).toEqual(['skipped', 'skipped', 'skipped']);
  });

  test('an execution that missed its end completes with its outputs', async () => {
    const chain = await run({ steps: { ...CHAIN.steps, c: { ...CHAIN.steps.c, with: { value: 7 } } } });
    await change('workflow_executions', chain.id, `status = 'running', completed_at = null, outputs = null`);
    expect(await repair()).toEqual({ 'execution-not-ended': 1 });
    expect((await expectEnd(chain)).outputs).toEqual({ c: 7 });
  });

  test('an execution being stopped that has nothing running is cancelled', async () => {
    const chain = await run(CHAIN);
    await reopen(database, chain, QUEUED);
    await change('workflow_executions', chain.id, `stop_requested_at = now(), stop_reason = 'enough'`);
    const repaired = await repair();
    expect(repaired['execution-not-ended']).toBe(1);
    expect((await expectEnd(chain, 'cancelled')).error?.message).toBe('enough');
  });

  test('not when a step failed and the execution says nothing of it: that would be a guess', async () => {
    const chain = await run(CHAIN);
    await change('workflow_executions', chain.id, `status = 'running', completed_at = null, outputs = null`);
    await change(
      'workflow_step_executions',
      chain.c,
      `status = 'failed', outputs = null, error = 'by hand', error_code = 'by_hand'`,
    );
    const { ok, repaired, findings } = await engine.client.repair(AT_ONCE);
    expect([ok, repaired, findings.map(({ invariant }) => invariant)]).toEqual([
      false,
      [],
      ['execution-not-ended'],
    ]);
    await engine.client.cancel(chain.id);
    await expectEnd(chain, 'cancelled');
  });
});

test('many lost jobs are written in one repair', async () => {
  const ids = await startSideBySide(engine, { steps: { a: { type: 'record' } } }, 130);
  for (const id of ids) expect((await engine.end(id)).status).toBe('completed');
  await database.pool.query(
    `update workflow_step_executions set ${QUEUED}, outputs = null, completed_at = null, claimed_by = null
      where workflow_execution_id = any($1::uuid[])`,
    [ids],
  );
  await database.pool.query(
    `update workflow_executions set status = 'running', completed_at = null, outputs = null where id = any($1::uuid[])`,
    [ids],
  );
  expect(await repair()).toEqual({ 'queued-step-without-job': ids.length });
  for (const id of ids) expect((await engine.end(id)).status).toBe('completed');
});

test('repairs in the middle of full work, by two engines at once, run nothing twice', async () => {
  const config = { EXECUTION_ENGINE_API_KEYS: `${KEYS.operator}=admin`, EXECUTION_ENGINE_CONCURRENCY: '20' };
  const other = await fixture.engine({ name: 'other', token: KEYS.operator, config });
  try {
    const definition = chainsSideBySide(6, 6, 'record');
    const ids = await startSideBySide(engine, definition, sized(15, 60));
    let over = false;
    const repairing = [engine.client, other.client].map(async (client) => {
      while (!over) {
        const { findings, unanswered } = await client.repair(AT_ONCE);
        const wrong = findings.filter(({ invariant }) => !invariant.startsWith('job-'));
        expect({ wrong, unanswered }).toEqual({ wrong: [], unanswered: [] });
      }
    });
    for (const id of ids) expect((await engine.end(id)).status).toBe('completed');
    over = true;
    await Promise.all(repairing);
    const { runs, steps } = await countRuns(database, ids);
    expect(runs).toBe(steps);
    await assertInvariants(database.url);
  } finally {
    await other.stop();
  }
});

describe('the calls', () => {
  test('need an admin key: none is 401, that of a workspace 403 whatever its role', async () => {
    const workspace = engineCalls(engine.url, KEYS.workspace);
    const nobody = engineCalls(engine.url);
    for (const [method, path] of [
      ['GET', '/admin/doctor'],
      ['POST', '/admin/doctor/repair'],
    ] as const) {
      expect((await nobody.request(method, path)).status).toBe(401);
      expect((await workspace.request(method, path)).body).toMatchObject({ status: 403, code: 'forbidden' });
    }
  });

  test('answer ok with no findings, and what was looked at', async () => {
    const { status, body } = await engine.request(
      'GET',
      `/admin/doctor?grace_seconds=0&accept=${OF_THE_SERVER.join()}`,
    );
    expect(status).toBe(200);
    expect(body).toMatchObject({ ok: true, findings: [], repaired: [], unanswered: [] });
    expect(body.checked).toContain('queued-step-without-job');
    expect(body.checked).toContain('running-step-unknown-to-its-owner');
    expect(body.checked).not.toContain('database-not-durable');
    const everything = await engine.client.examine({ ...AT_ONCE, everything: true });
    expect(everything.checked).toContain('execution-contradicts-definition');
  });

  test('tell what is wrong with at most ten examples, and change nothing when they only look', async () => {
    for (let at = 0; at < 12; at += 1)
      await insertJob(database, { id: randomUUID(), data: { kind: 'other' } });
    const { ok, findings } = await engine.client.examine(AT_ONCE);
    expect(ok).toBe(false);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ invariant: 'job-of-unknown-kind', count: 12 });
    expect(findings[0]!.examples).toHaveLength(10);
    expect(findings[0]!.examples[0]).toMatchObject({ execution_id: null, detail: 'kind other' });
    await clearAway(database, []);
  });

  test('refuse a name that is none, a grace that is none, and a field that is unknown', async () => {
    const calls = [
      engine.request('GET', '/admin/doctor?accept=nothing-of-the-kind'),
      engine.request('GET', '/admin/doctor?grace_seconds=-1'),
      engine.request('GET', '/admin/doctor?everything=maybe'),
      engine.request('GET', '/admin/doctor?repair=true'),
      engine.request('POST', '/admin/doctor/repair', { accept: ['nothing-of-the-kind'] }),
      engine.request('POST', '/admin/doctor/repair', { grace_seconds: 1.5 }),
    ];
    for (const { status, body } of await Promise.all(calls))
      expect([status, body.code]).toEqual([422, 'validation_failed']);
  });

  test('are in the OpenAPI document', async () => {
    const { body } = await engine.request('GET', '/openapi.json');
    expect(Object.keys((body.paths as Record<string, object>)['/admin/doctor']!)).toEqual(['get']);
    expect(Object.keys((body.paths as Record<string, object>)['/admin/doctor/repair']!)).toEqual(['post']);
  });
});
