/**
 * `npm run readers`: readers follow executions by their events, are broken off and resume at random, while engines are killed;
 * then a thousand readers follow executions in which nothing happens.
 *
 * Ends with 0 when each reader was told each final status and each end of an attempt once and in order, and when idle readers
 * cost no more than their memory; with 1 otherwise.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createEngineClient } from '../../client/engine-client.ts';
import type { JsonObject } from '../../core/json/json.ts';
import { type Chance, chance } from '../chance.ts';
import type { Fleet } from '../stage/fleet.ts';
import { endOnSignals } from '../stage/signals.ts';
import { type Followed, faultsOf, follow } from './follower.ts';
import { watchIdle } from './idle.ts';
import { parseReadersOptions, readersCommandOf } from './options.ts';
import { setReadersStage } from './stage.ts';

const ENGINES = 3;
const KILL_EVERY_MS = [1_500, 4_000] as const;
const MAX_IDLE_MB = 30;
const MAX_MORE_TRANSACTIONS = 1;

const options = parseReadersOptions(process.argv.slice(2));
console.log(readersCommandOf(options));
const setting = setReadersStage();
endOnSignals(async () => (await setting).close());
const stage = await setting;
let isGood = false;
try {
  isGood = [await playReaders(), await playIdle()].every(Boolean);
} catch (error) {
  console.error(error);
} finally {
  await stage.close();
}
process.exit(isGood ? 0 : 1);

/** Ten chains of five, some steps of which fail once or twice. */
function definition(dice: Chance): JsonObject {
  const steps: JsonObject = {};
  for (let row = 0; row < 10; row++)
    for (let column = 0; column < 5; column++)
      steps[`s${row}_${column}`] = {
        type: 'readers.work',
        with: { ms: dice.below(200), fails: dice.happens(0.1) ? 1 + dice.below(2) : 0 },
        retry: { limit: 5, delay: '10ms' },
        ...(column === 0 ? {} : { needs: [`s${row}_${column - 1}`] }),
      };
  return { name: 'followed', steps };
}

async function playReaders(): Promise<boolean> {
  const { executions, readers, each, seed } = options;
  const dice = chance(seed, 'readers');
  const fleet = await stage.open(ENGINES);
  const urlOf = () => {
    const { ready } = fleet;
    return ready.length === 0 ? null : dice.pick(ready).url;
  };
  const client = createEngineClient({ url: urlOf()! });
  await client.publish(JSON.stringify(definition(dice)), 'application/json');
  const started = await client.startMany(
    Array.from({ length: executions }, () => ({ template: 'followed' })),
  );
  const ids = started.map(({ execution_id }) => execution_id);
  const over = new AbortController();
  const killing = kill(fleet, dice, over.signal);
  const followed = await Promise.all(
    Array.from({ length: readers }, async () =>
      Promise.all(Array.from({ length: each }, () => follow(dice.pick(ids), urlOf, dice))),
    ),
  );
  over.abort();
  const kills = await killing;
  const all: Followed[] = followed.flat();
  const faults = (await Promise.all(all.map((one) => faultsOf(stage.admin, one)))).flat();
  const breaks = all.reduce((sum, one) => sum + one.breaks, 0);
  const events = all.reduce((sum, one) => sum + one.events.length, 0);
  console.log(
    `${executions} executions of 50 steps, ${kills} kills; ${readers} readers followed ${each} each: ${events} events, broken off ${breaks} times, ${faults.length} faults`,
  );
  for (const fault of faults.slice(0, 20)) console.log(fault);
  await fleet.stop();
  return faults.length === 0;
}

async function kill(fleet: Fleet, dice: Chance, over: AbortSignal): Promise<number> {
  for (let kills = 0; ; kills++) {
    await sleep(dice.between(KILL_EVERY_MS), undefined, { signal: over }).catch(() => {});
    if (over.aborted) return kills;
    const { ready } = fleet;
    if (ready.length > 1) fleet.kill(dice.pick(ready), dice.below(1_000));
  }
}

async function playIdle(): Promise<boolean> {
  const fleet = await stage.open(1);
  const { memoryMb, transactionsPerSecond, readers } = await watchIdle(
    stage.admin,
    fleet.at(0)!,
    options.idle,
    options.idleSeconds,
  );
  const more = memoryMb.with - memoryMb.before;
  const moreOften = transactionsPerSecond.with - transactionsPerSecond.before;
  console.log(
    `${readers} idle readers: ${more.toFixed(1)} MB more (${memoryMb.before.toFixed(0)} to ${memoryMb.with.toFixed(0)}), transactions a second ${transactionsPerSecond.before.toFixed(2)} before and ${transactionsPerSecond.with.toFixed(2)} with them`,
  );
  await fleet.stop();
  return more <= MAX_IDLE_MB && moreOften <= MAX_MORE_TRANSACTIONS;
}
