/**
 * Two engines on one database, one of which is killed while steps of it run: what the other makes of it.
 */
import { randomUUID } from 'node:crypto';
import { type EngineDatabase, type Env, stepOf } from './engine.ts';
import type { Fixture } from './fixture.ts';
import { assertInvariants } from './invariants.ts';

const STEPS = Array.from({ length: 12 }, (_, at) => `g${at}`);
const DEFINITION = {
  steps: {
    ...Object.fromEntries(
      STEPS.map((key) => [key, { type: 'gate', with: { name: '${{ input.gate }}' }, retry: { limit: 0 } }]),
    ),
    after: { type: 'record', needs: STEPS },
  },
};

export interface Takeover {
  readonly status: string;
  /** Attempts of the steps that the dead engine ran, and of those of the living one. */
  readonly attemptsOfLost: readonly number[];
  readonly attemptsOfOthers: readonly number[];
}

/**
 * Runs one execution on two engines, kills one of them with SIGKILL, and waits for the end.
 * @param leases whether engines hold leases there; one that does not as it should is waited for in vain
 */
export async function takeOverFromKilled(
  fixture: Fixture,
  database: EngineDatabase,
  url: string,
  config: Env,
  leases: boolean,
): Promise<Takeover> {
  const { url: recordsUrl } = database;
  // Of this run alone: on the same database another one may have opened its own.
  const gate = `killed-${randomUUID()}`;
  const few = { EXECUTION_ENGINE_CONCURRENCY: '8', ...config };
  const dying = await fixture.engineProcess({ url, recordsUrl, name: 'dying', config: few });
  const living = await fixture.engineProcess({ url, recordsUrl, name: 'living', config: few });
  try {
    const id = await dying.start(await dying.publish(DEFINITION), { inputs: { gate } });
    await database.until('select count(*) = 12 from test_runs where execution_id = $1', [id]);
    // A lease that there is has been told of with the next heartbeat.
    await database.until(
      `select count(*) = 2 from execution_engines
        where id = any($1::uuid[]) and heartbeat_at > started_at and has_lease = $2`,
      [[dying.id, living.id], leases],
    );
    const before = await database.runs(id);
    dying.kill('SIGKILL');
    await dying.exited;
    await database.openGate(gate);
    const end = await living.end(id);
    const attempts = (engine: string) =>
      before.filter((run) => run.engine === engine).map(({ step }) => stepOf(end, step).attempt_count);
    // While somebody is there who takes away what is left of jobs.
    await assertInvariants(database.url);
    return {
      status: end.status,
      attemptsOfLost: attempts('dying'),
      attemptsOfOthers: attempts('living'),
    };
  } finally {
    dying.kill('SIGKILL');
    living.kill('SIGTERM');
    await living.exited;
  }
}
