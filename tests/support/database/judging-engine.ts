/**
 * Engines that are rows only, and one that judges them: its heartbeats are sent as an engine sends them, in a session of
 * its own, at the moments that a test chooses.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { pulse, registerEngine, stepsOfTheDead } from '../../../db/engine.ts';
import { BY_LEASE, type SignsOfLife } from '../../../db/engine-alive.ts';

/** Writes the row of an engine that has been silent for so long; returns its id. */
export async function writeEngine(
  client: Pick<pg.Client, 'query'>,
  silence: string,
  hasLease: boolean,
): Promise<string> {
  const id = randomUUID();
  await client.query(
    `insert into execution_engines (id, role, host, pid, version, capacity, heartbeat_at, has_lease)
     values ($1, 'all', 'here', 1, '0', 1, now() - $2::interval, $3)`,
    [id, silence, hasLease],
  );
  return id;
}

/** Writes a running step that the engine holds. */
export async function writeStepOf(client: Pick<pg.Client, 'query'>, engineId: string): Promise<void> {
  await client.query(
    `with template as (insert into workflow_templates (name) values ('judged') returning id),
          step as (insert into workflow_step_templates (workflow_template_id, key, position)
                   select id, 'held', 0 from template returning id, workflow_template_id),
          execution as (insert into workflow_executions (workflow_template_id, status)
                        select workflow_template_id, 'running' from step returning id)
     insert into workflow_step_executions (workflow_execution_id, step_template_id, status, claimed_by)
     select execution.id, step.id, 'running', $1 from execution, step`,
    [engineId],
  );
}

/** In the place of pg-boss's table. */
export const NO_JOBS = `(select '' as name, '' as state, false as blocked, now() as start_after where false) job`;

export class JudgingEngine {
  readonly id = randomUUID();
  readonly #url: string;
  readonly #signs: SignsOfLife;
  #session!: pg.Client;

  private constructor(url: string, signs: SignsOfLife) {
    this.#url = url;
    this.#signs = signs;
  }

  /** One that has only just begun. */
  static async begin(url: string, signs: SignsOfLife = BY_LEASE): Promise<JudgingEngine> {
    const engine = new JudgingEngine(url, signs);
    await engine.#connect();
    const row = { id: engine.id, role: 'all', host: 'here', pid: 1, version: '0', capacity: 1 };
    await registerEngine(engine.#session, { ...row, stepTypes: ['noop'] }, signs);
    return engine;
  }

  /** One that has been there for a minute. */
  static async settled(url: string, signs?: SignsOfLife): Promise<JudgingEngine> {
    const engine = await JudgingEngine.begin(url, signs);
    await engine.#session.query(
      `update execution_engines set started_at = started_at - interval '1 minute',
              heard_since = heard_since - interval '1 minute', settled_at = settled_at - interval '1 minute'
        where id = $1`,
      [engine.id],
    );
    await engine.heart();
    return engine;
  }

  /** Its next heartbeat; returns of each of the engines whether it is dead, as this one says. */
  async heart(...ids: readonly string[]): Promise<boolean[]> {
    const beat = { id: this.id, runningCount: 0, hasLease: false };
    const { deadEngines } = await pulse(this.#session, beat, NO_JOBS, [], this.#signs);
    return ids.map((id) => deadEngines.includes(id));
  }

  /** The same when each of them has been silent for so long at that moment. */
  async heartAfter(silence: string, ...ids: readonly string[]): Promise<boolean[]> {
    await this.#session.query('begin');
    await this.#session.query(
      'update execution_engines set heartbeat_at = now() - $2::interval where id = any($1::uuid[])',
      [ids, silence],
    );
    const dead = await this.heart(...ids);
    await this.#session.query('commit');
    return dead;
  }

  /** The same when the time that others have to come back is over. */
  async later(...ids: readonly string[]): Promise<boolean[]> {
    await this.#session.query('update execution_engines set settled_at = now() where id = $1', [this.id]);
    return this.heart(...ids);
  }

  /** The owners of the steps that it would take over now. */
  async takesFrom(): Promise<string[]> {
    const steps = await stepsOfTheDead(this.#session, { self: this.id, limit: 1_000 }, this.#signs);
    return steps.map(({ owner }) => owner);
  }

  /** Its connection is cut, and made anew. */
  async reconnect(): Promise<void> {
    await this.#session.end().catch(() => {});
    await this.#connect();
  }

  /** The database has not heard from it for so long. */
  async isSilent(silence: string): Promise<void> {
    await this.#session.query(
      'update execution_engines set heartbeat_at = now() - $2::interval where id = $1',
      [this.id, silence],
    );
  }

  async end(): Promise<void> {
    await this.#session.query('delete from execution_engines where id = $1', [this.id]);
    await this.#session.end();
  }

  async #connect(): Promise<void> {
    this.#session = new pg.Client({ connectionString: this.#url });
    this.#session.on('error', () => {});
    await this.#session.connect();
  }
}
