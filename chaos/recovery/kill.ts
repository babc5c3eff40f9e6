/**
 * The cases "kill" (others are alive), "kill-after-cut" (they have all just lost their connections) and "alone" (it
 * comes back): kill -9, and the first calls of the next attempts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineProcess } from '../stage/engine-process.ts';
import { allSettled, describeMissed, noteRecovery, type Play, pickBusy } from './play.ts';
import type { Call } from './witness.ts';

const LONGEST_TAKEOVER_MS = 30_000;
const TELL_EVERY = 10;
/** Seconds from the cut of all connections to the kill. */
const AFTER_CUT = [0, 3] as const;
const CUT_ALL = `
  select pg_terminate_backend(pid) from pg_stat_activity
   where backend_type = 'client backend' and application_name like 'engine/%'`;
/** Seconds that a lone engine is down. */
const DOWN = [0, 1] as const;

/**
 * Engines are killed one after the other until one is left; then all of them are started again. So no start disturbs
 * a measurement, and the last kill of each round is one with a single other engine.
 */
export function playKills(play: Play): Promise<void> {
  return playRounds(play, async () => {});
}

/** Every engine has come back from the same absence a moment ago, or is about to. */
export function playKillsAfterCuts(play: Play): Promise<void> {
  return playRounds(play, async ({ stage: { admin }, draw }) => {
    await admin.query(CUT_ALL);
    await sleep(draw.between(AFTER_CUT) * 1_000);
  });
}

async function playRounds(play: Play, before: (play: Play) => Promise<void>): Promise<void> {
  const { fleet } = play.stage;
  for (let count = 0; count < play.times; ) {
    await allSettled(play.stage);
    const round = Promise.withResolvers<void>();
    try {
      while (fleet.ready.length > 1 && count < play.times) {
        await before(play);
        const engine = await pickBusy(play, () => fleet.ready);
        const { hits, at } = strike(play, engine, round.promise);
        const again = await play.stage.witness.seenAgain(hits, LONGEST_TAKEOVER_MS);
        await describeMissed(play, hits, again);
        const ms = noteRecovery(play, hits, again, at);
        count += 1;
        if (count % TELL_EVERY === 0) play.tell(`${count} of ${play.times} kills, the last ${show(ms)}`);
      }
    } finally {
      round.resolve();
    }
  }
}

/** Measured from the moment at which its next process is started. */
export async function playAlone(play: Play): Promise<void> {
  const { fleet, witness } = play.stage;
  for (let count = 1; count <= play.times; count += 1) {
    await allSettled(play.stage);
    const engine = await pickBusy(play, () => fleet.ready);
    const { hits } = strike(play, engine, sleep(play.draw.between(DOWN) * 1_000));
    const again = await witness.seenAgain(hits, LONGEST_TAKEOVER_MS);
    await describeMissed(play, hits, again);
    const ms = noteRecovery(play, hits, again, fleet.at(0)!.spawnedAt);
    play.tell(`${count} of ${play.times} restarts, the last ${show(ms)}`);
  }
}

function strike(
  { stage, findings }: Play,
  engine: EngineProcess,
  empty: Promise<unknown>,
): { hits: Call[]; at: number } {
  const hits = stage.witness.running(engine.name);
  const at = performance.now();
  stage.fleet.kill(engine, empty);
  findings.strikes.push({ engine: engine.name, from: at, to: Number.POSITIVE_INFINITY });
  return { hits, at };
}

function show(ms: number | null): string {
  return ms === null ? 'not recovered' : `${Math.round(ms)} ms`;
}
