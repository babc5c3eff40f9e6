/**
 * Decides why a queued step has not begun: no engine, no engine with its type, a full limit, or no free place.
 */
import type { EngineFacts, HolderFacts, LimitFacts, Reason } from './reason.ts';

export interface QueuedStep {
  readonly type: string;
  /** Empty: it has none. Null: not known here. */
  readonly limits: readonly LimitFacts[] | null;
  /** The largest number that one of its limits allows. */
  readonly limit: number;
}

export function queuedReason(
  { type, limits, limit }: QueuedStep,
  engines: readonly EngineFacts[],
  holders: readonly HolderFacts[],
): Reason {
  const running = ableEngines(engines);
  if (running.length === 0) return { kind: 'no_engine' };
  const able = running.filter((engine) => hasTypes(engine, [type]));
  if (able.length === 0) return { kind: 'step_type', types: [type] };
  if (limits === null) return { kind: 'hidden_limit', limit };
  const full = limits.find((each) => each.used >= each.limit);
  if (full !== undefined) return { kind: 'limit', limit: full };
  const capacity = sum(able, (engine) => engine.capacity);
  const free = sum(able, (engine) => Math.max(0, engine.capacity - engine.used));
  return { kind: 'slot', engines: able.length, free, capacity, holders: free === 0 ? holders : [] };
}

/** Returns why no living engine can begin an execution; null: one can. */
export function unbegun(types: readonly string[], engines: readonly EngineFacts[]): Reason | null {
  const running = ableEngines(engines);
  if (running.length === 0) return { kind: 'no_engine' };
  if (running.some((engine) => hasTypes(engine, types))) return null;
  const missing = types.filter((type) => !running.some((engine) => hasTypes(engine, [type])));
  return { kind: 'step_type', types: missing };
}

/** Returns the living engines that run steps. */
export function ableEngines(engines: readonly EngineFacts[]): EngineFacts[] {
  return engines.filter(({ isAlive, capacity }) => isAlive && capacity > 0);
}

function hasTypes({ stepTypes }: EngineFacts, types: readonly string[]): boolean {
  return stepTypes === null || types.every((type) => stepTypes.includes(type));
}

function sum<T>(list: readonly T[], read: (item: T) => number): number {
  return list.reduce((total, item) => total + read(item), 0);
}
