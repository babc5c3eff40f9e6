/**
 * Whether the engine lives, and whether it can serve.
 */
import type { Pool } from '../db/client.ts';
import type { HealthReport } from '../services/service-types.ts';

export interface HealthSources {
  readonly pool: Pool;
  /** Milliseconds since the work loop last reached the database. */
  silentMs(): number;
  isDraining(): boolean;
}

/** The work loop beats once a second; this much silence means that it or the database is stuck. */
const LONGEST_SILENCE_MS = 5_000;
const LOOK_AGAIN_MS = 500;

export function createHealth({ pool, silentMs, isDraining }: HealthSources) {
  let last: { at: number; answer: Promise<string | null> } = {
    at: Number.NEGATIVE_INFINITY,
    answer: Promise.resolve(null),
  };
  const database = () => {
    const now = performance.now();
    if (now - last.at > LOOK_AGAIN_MS) last = { at: now, answer: reach(pool) };
    return last.answer;
  };
  return {
    live: (): HealthReport => ({ status: 'ok', checks: { process: { status: 'ok' } } }),
    ready: async (): Promise<HealthReport> => {
      const failure = await database();
      const silence = silentMs();
      const checks: HealthReport['checks'] = {
        database: failure === null ? { status: 'ok' } : { status: 'fail', message: failure },
        work_loop:
          silence < LONGEST_SILENCE_MS
            ? { status: 'ok' }
            : { status: 'fail', message: `No heartbeat for ${Math.round(silence / 1000)} s.` },
        accepting: isDraining() ? { status: 'fail', message: 'The engine is draining.' } : { status: 'ok' },
      };
      const ok = Object.values(checks).every(({ status }) => status === 'ok');
      return { status: ok ? 'ok' : 'unavailable', checks };
    },
  };
}

/** Null when the database answers. */
async function reach(pool: Pool): Promise<string | null> {
  try {
    await pool.query('select 1');
    return null;
  } catch (error) {
    return `The database does not answer: ${(error as Error).message}`;
  }
}
