/**
 * The cases "freeze" (SIGSTOP) and "partition" (the wire is cut): an engine falls silent, others take over what it
 * runs, and it comes back as a zombie whose results come too late.
 *
 * The end of the case checks that its results change nothing: every output is of the last attempt (checks.ts).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineProcess } from '../stage/engine-process.ts';
import { allSettled, noteRecovery, type Play, pickBusy, type Strike, until } from './play.ts';

const FROZEN_MS = 30_000;
/** Longer than an engine is silent before it says so. */
const CUT_MS = 15_000;
const LONGEST_TAKEOVER_MS = 29_000;
const SAYS_SO = 'This engine was silent';
/** How long its own late results are waited for, and a second line of the log that must not come. */
const LATER_MS = 3_000;

export async function playFreezes(play: Play): Promise<void> {
  const { fleet } = play.stage;
  for (let count = 1; count <= play.times; count += 1) {
    await allSettled(play.stage);
    const engine = await pickBusy(play, () => fleet.ready);
    await silence(play, engine, FROZEN_MS, {
      begin: async () => engine.pause(),
      end: async () => engine.resume(),
    });
    play.tell(`${count} of ${play.times} freezes`);
  }
}

export async function playPartitions(play: Play): Promise<void> {
  const { fleet, wire } = play.stage;
  if (wire!.instead !== null) play.findings.facts['the wire'] = wire!.instead;
  for (let count = 1; count <= play.times; count += 1) {
    await allSettled(play.stage);
    const engine = await pickBusy(play, () => [fleet.at(0)!]);
    await silence(play, engine, CUT_MS, { begin: () => wire!.cut(), end: () => wire!.heal() });
    play.tell(`${count} of ${play.times} partitions`);
  }
}

async function silence(
  play: Play,
  engine: EngineProcess,
  lastsMs: number,
  { begin, end }: { begin(): Promise<void>; end(): Promise<void> },
): Promise<void> {
  const { findings } = play;
  const { witness } = play.stage;
  const saidBefore = await timesSaid(play, engine);
  const hits = witness.running(engine.name);
  const from = performance.now();
  const strike: Strike = { engine: engine.name, from, to: Number.POSITIVE_INFINITY };
  findings.strikes.push(strike);
  await begin();
  const again = await witness.seenAgain(hits, LONGEST_TAKEOVER_MS);
  noteRecovery(play, hits, again, from);
  await sleep(Math.max(0, from + lastsMs - performance.now()));
  await end();
  strike.to = performance.now();
  await until('the engine that was silent works again', () => isBack(play, engine, strike.to));
  await sleep(LATER_MS);
  const said = (await timesSaid(play, engine)) - saidBefore;
  if (said !== 1) findings.problems.push(`${engine.name} said ${said} times in its log that it was silent`);
}

/** An engine is back when it has begun a step since, or has ended: then another one is started. */
function isBack({ stage }: Play, engine: EngineProcess, since: number): boolean {
  return (
    engine.state === 'ended' ||
    stage.witness.calls.some((call) => call.engine === engine.name && call.at > since)
  );
}

async function timesSaid({ stage }: Play, { name }: EngineProcess): Promise<number> {
  const log = await readFile(join(stage.folder, `engine-${name}.log`), 'utf8');
  return log.split(SAYS_SO).length - 1;
}
