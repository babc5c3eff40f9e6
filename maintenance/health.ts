/**
 * Decides whether the engine is alive, and whether it can serve.
 *
 * A problem that does not stop the engine from serving is a warning: one of the start, or of the database's current
 * state.
 */
import { hideCredentials } from '../core/text/credentials.ts';
import type { Pool } from '../db/connection/client.ts';
import { connectionFailure } from '../db/connection/connection-limit.ts';
import { readServerState } from '../db/connection/server-check.ts';
import type { HealthReport } from '../services/health-report.ts';

export interface HealthSources {
  readonly pool: Pool;
  /** Warnings of the start; they never change. */
  readonly warnings: readonly string[];
  /** Milliseconds since the work loop last reached the database. */
  silentMs(): number;
  /** Ready work that no living engine can do; one sentence each. */
  idleWork(): Promise<readonly string[]>;
  /** Sessions that keep commits waiting; one sentence each. */
  locks(): readonly string[];
  /** The work that is stuck; null: none. */
  stall(): string | null;
  isDraining(): boolean;
}

/** The work loop runs once a second; this much silence means that it or the database is stuck. */
const LONGEST_SILENCE_MS = 5_000;
const LOOK_AGAIN_MS = 500;
/** A database that answers later is not usable. Probes give up after some seconds. */
const MAX_WAIT_MS = 2_000;

interface Look {
  /** Null: the database is usable. */
  readonly failure: string | null;
  readonly warnings: readonly string[];
}

export function createHealth(sources: HealthSources) {
  const { pool, warnings, silentMs, idleWork, locks, stall, isDraining } = sources;
  let last: { at: number; answer: Promise<Look> } | null = null;
  const database = () => {
    const now = performance.now();
    if (last === null || now - last.at > LOOK_AGAIN_MS) last = { at: now, answer: look(pool) };
    return last.answer;
  };
  return {
    live: (): HealthReport => ({ status: 'ok', checks: { process: { status: 'ok' } } }),
    ready: async (): Promise<HealthReport> => {
      const [{ failure, warnings: found }, idle] = await Promise.all([database(), idleWork()]);
      const checks: HealthReport['checks'] = {
        database: failure === null ? { status: 'ok' } : { status: 'fail', message: failure },
        work_loop: workLoop(silentMs(), stall()),
        accepting: isDraining() ? { status: 'fail', message: 'The engine is draining.' } : { status: 'ok' },
      };
      const ok = Object.values(checks).every(({ status }) => status === 'ok');
      return {
        status: ok ? 'ok' : 'unavailable',
        checks,
        warnings: [...new Set([...warnings, ...found, ...idle, ...locks()])],
      };
    },
  };
}

function workLoop(silence: number, stall: string | null): HealthReport['checks'][string] {
  if (silence >= LONGEST_SILENCE_MS)
    return { status: 'fail', message: `No heartbeat for ${Math.round(silence / 1000)} s.` };
  return stall === null ? { status: 'ok' } : { status: 'fail', message: stall };
}

async function look(pool: Pool): Promise<Look> {
  try {
    const { refusal, warnings } = await inTime(readServerState(pool, { timeoutMs: MAX_WAIT_MS }));
    return { failure: refusal === null ? null : `The database ${refusal}.`, warnings };
  } catch (error) {
    return {
      failure: `The database does not answer: ${hideCredentials(connectionFailure(error))}`,
      warnings: [],
    };
  }
}

/** Waits for a connection too, which may take longer than the statement. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${MAX_WAIT_MS / 1_000} s`)), MAX_WAIT_MS);
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
