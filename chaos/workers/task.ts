/**
 * Steps of the type `task` as the harness writes them, and as its workers read them.
 */
import type { JsonObject } from '../../core/json/json.ts';

export const TASK_QUEUE = 'chaos';

/** Long enough for a call that is made again at another engine, short enough to be lost often. */
const LEASE_MS = 8_000;

/** The task as a worker gets it. */
export interface TaskInput {
  readonly seed: number;
  readonly place: string;
  readonly retries: number;
  readonly executionId: string;
}

/** @param place text that gives the step's place */
export function taskParameters(retries: number, place: string): JsonObject {
  const input = { seed: '${{ input.seed }}', place, retries, executionId: '${{ execution.id }}' };
  return { queue: TASK_QUEUE, lease: LEASE_MS, input };
}
