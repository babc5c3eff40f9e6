/**
 * The cases "db-restart" and "db-crash": PostgreSQL stops at once and is started again, or resets itself because one of
 * its backends was killed, while healthy engines run steps.
 *
 * No step that runs may lose its attempt: its engine is alive, and its result waits until there is a database again.
 * The end of the case checks this (checks.ts). Each second time an engine is killed just before, so that one of the
 * engines that come back has only just begun; its steps are the only ones that others may take.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { allSettled, type Play, until } from './play.ts';

/** Seconds between a fault and the next, once every engine is back. */
const BETWEEN = [1, 4] as const;
/** Seconds that the engine is down that has only just begun when the database returns. */
const DOWN = [0, 0.5] as const;
const TELL_EVERY = 10;
const DOWN_FACT = 'longest time without a database (ms)';
const COUNT_ALIVE = `
  select count(*)::integer as count from execution_engines where heartbeat_at > now() - interval '1.2 seconds'`;
const BACKENDS = `
  select pid from pg_stat_activity
   where backend_type = 'client backend' and application_name like 'engine/%' order by pid`;

export function playRestarts(play: Play): Promise<void> {
  return playReturns(play, 'restarts', async ({ stage: { postgres } }) => {
    const { port } = postgres;
    await postgres.crash();
    await postgres.start();
    if (postgres.port !== port) throw new Error('The port of PostgreSQL was taken by somebody else');
  });
}

/** Resolves when the server takes connections again: those of before are gone with it. */
export function playCrashes(play: Play): Promise<void> {
  return playReturns(play, 'crashes', async ({ stage: { postgres, admin }, draw }) => {
    const { rows } = await admin.query(BACKENDS);
    const { pid } = draw.pick(rows);
    process.kill(pid, 'SIGKILL');
    await until('the server resets itself', async () => {
      const { rows: left } = await admin.query(BACKENDS).catch(() => ({ rows: [] }));
      return !left.some((row) => row.pid === pid);
    });
    await postgres.start();
  });
}

/** A figure is the time from the database's return to the first call of a step that had not run before it. */
async function playReturns(
  play: Play,
  faults: string,
  goAndReturn: (play: Play) => Promise<void>,
): Promise<void> {
  const { stage, findings, draw } = play;
  await allSettled(stage);
  for (let count = 1; count <= play.times; count += 1) {
    await until('every engine is alive and runs a step', () => isWell(play));
    await sleep(draw.between(BETWEEN) * 1_000);
    if (count % 2 === 0) beginAnew(play);
    findings.add('steps that ran at the fault', stage.witness.running().length);
    const downAt = performance.now();
    await goAndReturn(play);
    const upAt = performance.now();
    const next = () => stage.witness.calls.find(({ at, attempt }) => at > upAt && attempt === 1);
    await until('a step begins', () => next() !== undefined);
    findings.faults.push(next()!.at - upAt);
    const longest = Number(findings.facts[DOWN_FACT] ?? 0);
    findings.facts[DOWN_FACT] = Math.max(longest, Math.round(upAt - downAt));
    if (count % TELL_EVERY === 0) play.tell(`${count} of ${play.times} ${faults}`);
  }
}

/** Kills an engine; another one takes its place while the database comes back. */
function beginAnew({ stage: { fleet }, findings, draw }: Play): void {
  const engine = draw.pick(fleet.ready);
  findings.strikes.push({ engine: engine.name, from: performance.now(), to: Number.POSITIVE_INFINITY });
  fleet.kill(engine, draw.between(DOWN) * 1_000);
}

async function isWell({ stage }: Play): Promise<boolean> {
  const { fleet, witness, admin } = stage;
  const { ready } = fleet;
  if (!ready.every(({ name }) => witness.running(name).length > 0)) return false;
  const { rows } = await admin.query(COUNT_ALIVE).catch(() => ({ rows: [{ count: 0 }] }));
  return rows[0].count >= ready.length;
}
