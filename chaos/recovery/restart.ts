/**
 * The case "db-restart": PostgreSQL stops at once and is started again, while healthy engines run steps.
 *
 * No step that runs may lose its attempt: its engine is alive, and its result waits until there is a database again.
 * That none does is seen at the end (recovery-checks.ts): here nobody is struck who could have lost one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { allSettled, type Play, until } from './play.ts';

/** Seconds between a restart and the next, once every engine is back. */
const BETWEEN = [1, 4] as const;
const TELL_EVERY = 10;
const DOWN_FACT = 'longest time without a database (ms)';
const COUNT_ALIVE = `
  select count(*)::integer as count from execution_engines where heartbeat_at > now() - interval '1.2 seconds'`;

/** A figure is the time from the database's return to the first call of a step that had not run before. */
export async function playRestarts(play: Play): Promise<void> {
  const { stage, findings, draw } = play;
  await allSettled(stage);
  for (let count = 1; count <= play.times; count += 1) {
    await until('every engine is alive and runs a step', () => isWell(play));
    await sleep(draw.between(BETWEEN) * 1_000);
    const { port } = stage.postgres;
    findings.add('steps that ran at a restart', stage.witness.running().length);
    const downAt = performance.now();
    await stage.postgres.crash();
    await stage.postgres.start();
    const upAt = performance.now();
    if (stage.postgres.port !== port) throw new Error('The port of PostgreSQL was taken by somebody else');
    const next = () => stage.witness.calls.find(({ at, attempt }) => at > upAt && attempt === 1);
    await until('a step begins', () => next() !== undefined);
    findings.faults.push(next()!.at - upAt);
    const longest = Number(findings.facts[DOWN_FACT] ?? 0);
    findings.facts[DOWN_FACT] = Math.max(longest, Math.round(upAt - downAt));
    if (count % TELL_EVERY === 0) play.tell(`${count} of ${play.times} restarts`);
  }
}

async function isWell({ stage }: Play): Promise<boolean> {
  const { fleet, witness, admin } = stage;
  const { ready } = fleet;
  if (!ready.every(({ name }) => witness.running(name).length > 0)) return false;
  const { rows } = await admin.query(COUNT_ALIVE).catch(() => ({ rows: [{ count: 0 }] }));
  return rows[0].count >= ready.length;
}
