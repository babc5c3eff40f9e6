/**
 * Damage for the tests of the doctor: executions whose rows somebody changed by hand.
 *
 * Every execution is a chain of three recorded steps that an engine ran to its end. `reopen` puts it back into the
 * middle, as if its second step were in some state: all rows agree, but the jobs are for the test to write.
 */
import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../../../core/json/json.ts';
import type { EngineDatabase, TestEngine } from '../engine.ts';

export interface Chain {
  readonly id: string;
  /** Ids of the steps. */
  readonly a: string;
  readonly b: string;
  readonly c: string;
}

export interface JobRow {
  readonly queue?: string;
  readonly id: string;
  readonly data: JsonObject;
  readonly state?: string;
  /** Default: that of a timer, or of a ticket. */
  readonly priority?: number;
  /** As SQL; default: tomorrow, so that no engine fetches it. */
  readonly startAfter?: string;
}

const STEPS = {
  a: { type: 'record' },
  b: { type: 'record', needs: ['a'] },
  c: { type: 'record', needs: 'b' },
};
export const CHAIN = { steps: STEPS };
export const TIMED = { timeout: '1h', steps: STEPS };
export const PATIENT = { steps: { ...STEPS, b: { ...STEPS.b, timeout: '1h' } } };

/** Runs a chain to its end and waits until nothing of it is left to do. */
export async function runChain(
  database: EngineDatabase,
  engine: TestEngine,
  definition: JsonObject,
): Promise<Chain> {
  const { execution_id: id } = await engine.run(definition);
  const { rows } = await database.pool.query(
    `select s.id, t.key from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = $1`,
    [id],
  );
  const idOf = (key: string) => rows.find((row) => row.key === key).id as string;
  return { id, a: idOf('a'), b: idOf('b'), c: idOf('c') };
}

/** The chain as it is while its second step is in a state. @param changes assignments for the row of the step, as SQL */
export async function reopen({ pool }: EngineDatabase, { id, b, c }: Chain, changes: string): Promise<void> {
  await pool.query('delete from workflow_step_executions where id = $1', [c]);
  await pool.query(
    `update workflow_executions set status = 'running', completed_at = null, outputs = null where id = $1`,
    [id],
  );
  await pool.query(
    'update workflow_step_executions set outputs = null, completed_at = null, claimed_by = null where id = $1',
    [b],
  );
  await pool.query(`update workflow_step_executions set ${changes} where id = $1`, [b]);
}

export const QUEUED = `status = 'queued', attempt_count = 0, started_at = null`;
/** @param until as SQL */
export const waitingUntil = (until: string) =>
  `status = 'waiting', sequence = 1, attempt_count = 1, parked_at = now(), parked_state = 'null', resume_at = ${until}`;
export const WAITING = waitingUntil('now()');
export const runningOn = (owner: string) => `status = 'running', attempt_count = 1, claimed_by = '${owner}'`;

export async function insertJob({ pool }: EngineDatabase, job: JobRow): Promise<void> {
  const {
    queue = 'StepExecutionQueue',
    id,
    data,
    state = 'created',
    startAfter = `now() + interval '1 day'`,
    priority = queue === 'WorkflowExecutionQueue' ? 1_000_000_000 : 0,
  } = job;
  await pool.query(
    `insert into pgboss.job (id, name, data, state, started_on, start_after, priority, keep_until, policy, retry_limit, expire_seconds)
     values ($1, $2, $3, $4::pgboss.job_state, case when $4 = 'active' then now() end, ${startAfter}, $5, now() + interval '10 years',
             'standard', 1000000, 60)`,
    [id, queue, JSON.stringify(data), state, priority],
  );
}

export const ticketOf = ({ id, b }: Chain): JobRow => ({
  id: b,
  data: { kind: 'step', execution_id: id, step_id: b },
});

export const timerOf = ({ id, b }: Chain): JobRow => ({
  queue: 'WorkflowExecutionQueue',
  id: b,
  data: { kind: 'timer', execution_id: id, step_id: b, attempt: 1, sequence: 1, purpose: 'resume' },
});

/** An engine that is alive for 15 seconds, whatever happens: a heartbeat counts that lies less than eight ahead. */
export async function immortalEngine({ pool }: EngineDatabase): Promise<string> {
  const id = randomUUID();
  await pool.query(
    `insert into execution_engines (id, role, host, pid, version, capacity, heartbeat_at)
     values ($1, 'all', 'nowhere', 1, '0', 1, now() + interval '7 seconds')`,
    [id],
  );
  return id;
}

/** Takes the executions and every job away. */
export async function clearAway({ pool }: EngineDatabase, ids: readonly string[]): Promise<void> {
  await pool.query('delete from workflow_executions where id = any($1::uuid[])', [ids]);
  await pool.query('delete from pgboss.job');
  await pool.query(`delete from execution_engines where host = 'nowhere'`);
}
