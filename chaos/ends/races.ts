/**
 * Many short executions, each of which is cancelled or stopped at a random moment, or has just completed by then.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { EngineProblem } from '../../client/engine-client.ts';
import { type Leftovers, leftoversOf } from '../../tests/support/faults/scope-ends.ts';
import { chance } from '../chance.ts';
import { RACES } from './definitions.ts';
import type { EndsOptions } from './options.ts';
import type { EndsStage } from './stage.ts';

/** The end comes after this time at the latest, at first. */
const LATEST_MS = 150;
/** The time is changed by so much after each race: about half of the executions are to complete before their end comes. */
const STEP = 0.02;
const CHILDREN_MS = 10_000;
const LOOK_MS = 50;
/** Executions that are looked at together. */
const MAX_LOOKED_AT = 500;

export interface RacesPlayed {
  /** Executions by how they ended, and by the end that came from above. */
  readonly ended: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
}

export async function playRaces(options: EndsOptions, { admin, engines }: EndsStage): Promise<RacesPlayed> {
  const ended: Record<string, number> = {};
  const faults: string[] = [];
  let ids: string[] = [];
  let next = 0;
  let latestMs = LATEST_MS;
  const lookAt = async (some: readonly string[]) => {
    const left = await leftAfterAll(admin, some);
    if (left !== null) faults.push(`left behind: ${JSON.stringify(left)}`);
  };
  const race = async (at: number) => {
    const drawn = chance(options.seed, 'race', at);
    const [here, there] = drawn.happens(0.5) ? engines : engines.toReversed();
    const how = drawn.pick(['cancel', 'stop'] as const);
    const share = drawn.next();
    const template = String(drawn.pick(RACES).name);
    const { execution_id: id } = await here!.start({ template });
    await delay(share * latestMs);
    await there![how](id).catch(unlessOver);
    let { status } = await here!.status(id, { wait: '60s' });
    while (status === 'running') ({ status } = await here!.status(id, { wait: '60s' }));
    if (status !== 'cancelled' && status !== 'completed') faults.push(`${id} is ${status} after a ${how}`);
    latestMs *= status === 'completed' ? 1 - STEP : 1 + STEP;
    ended[`${how}, ${status}`] = (ended[`${how}, ${status}`] ?? 0) + 1;
    ids.push(id);
    if (ids.length < MAX_LOOKED_AT) return;
    const some = ids;
    ids = [];
    await lookAt(some);
  };
  const lane = async () => {
    while (next < options.races) await race(next++);
  };
  await Promise.all(Array.from({ length: options.inFlight }, lane));
  await lookAt(ids);
  return { ended, faults };
}

/** Returns what is left when the children have had their time: they are told of an end, and end a moment later. */
async function leftAfterAll(admin: EndsStage['admin'], ids: readonly string[]): Promise<Leftovers | null> {
  for (const deadline = performance.now() + CHILDREN_MS; ; await delay(LOOK_MS)) {
    const left = await leftoversOf(admin, ids);
    if (left.scopes + left.steps + left.numbers.length === 0) return null;
    if (performance.now() > deadline) return left;
  }
}

/** The execution may have ended by itself. */
function unlessOver(error: unknown): void {
  if (!(error instanceof EngineProblem) || error.status !== 409) throw error;
}
