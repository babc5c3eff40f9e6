/**
 * A reader that follows an execution to its end, is broken off at random, and resumes after its last event at any engine. It
 * judges what it is told against the rows of the execution.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from '../../db/connection/client.ts';
import { eventsOf, type ReadEvent } from '../../tests/support/api/event-reader.ts';
import type { Chance } from '../chance.ts';

export interface Followed {
  readonly executionId: string;
  readonly events: readonly ReadEvent[];
  /** How often it was broken off, by itself or with an engine. */
  readonly breaks: number;
}

const PAUSE_MS = 100;
const FINAL = new Set(['completed', 'failed', 'cancelled', 'timed_out', 'skipped']);

/** @param urlOf the address of an engine; null: none is there now */
export async function follow(
  executionId: string,
  urlOf: () => string | null,
  dice: Chance,
): Promise<Followed> {
  const events: ReadEvent[] = [];
  for (let breaks = 0; ; breaks++) {
    const url = urlOf();
    const most = 1 + dice.below(30);
    try {
      if (url !== null && (await read(url, executionId, events, most)))
        return { executionId, events, breaks };
    } catch {
      // Its engine was killed.
    }
    await sleep(dice.below(PAUSE_MS));
  }
}

/** Returns whether the execution is over. */
async function read(url: string, executionId: string, events: ReadEvent[], most: number): Promise<boolean> {
  let count = 0;
  const path = `${url}/api/v1/execution/events?execution_id=${executionId}`;
  for await (const event of eventsOf(path, events.at(-1)?.id)) {
    events.push(event);
    if (event.type === 'execution' && FINAL.has(event.to)) return true;
    count += 1;
    if (count === most) return false;
  }
  return false;
}

const TRUTH = `
  select s.id || ' ' || s.status as told from workflow_step_executions s where s.workflow_execution_id = $1
  union all
  select a.step_execution_id || ' ' || a.attempt || ' ' || a.outcome from workflow_step_attempts a
   where a.workflow_execution_id = $1 and a.sequence is not null
  union all
  select 'execution ' || e.status from workflow_executions e where e.id = $1
   order by 1`;

/** Returns what a reader was told wrongly; []: nothing. */
export async function faultsOf(admin: Pool, { executionId, events }: Followed): Promise<string[]> {
  const { rows } = await admin.query<{ told: string }>(TRUTH, [executionId]);
  const told = events.flatMap(({ type, step_id, to, attempt, outcome }) => {
    if (type === 'execution') return FINAL.has(to) ? [`execution ${to}`] : [];
    const isKept = outcome != null && outcome !== 'completed' && outcome !== 'cancelled';
    return [
      ...(FINAL.has(to) ? [`${step_id} ${to}`] : []),
      ...(isKept ? [`${step_id} ${attempt} ${outcome}`] : []),
    ];
  });
  const faults = countedAlike(
    rows.map((row) => row.told),
    told,
  );
  const places = events.map(({ id }) => id.split('.').map(Number) as [number, number]);
  for (const [at, [sequence, n]] of places.entries()) {
    const before = places[at - 1];
    if (before !== undefined && (before[0] > sequence || (before[0] === sequence && before[1] >= n)))
      faults.push(`${events[at]!.id} came after ${events[at - 1]!.id}`);
  }
  return faults.map((fault) => `${executionId}: ${fault}`);
}

function countedAlike(wanted: readonly string[], found: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const one of wanted) counts.set(one, (counts.get(one) ?? 0) - 1);
  for (const one of found) counts.set(one, (counts.get(one) ?? 0) + 1);
  return [...counts]
    .filter(([, count]) => count !== 0)
    .map(([one, count]) => `${one} told ${count > 0 ? 'twice' : 'never'}`);
}
