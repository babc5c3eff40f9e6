/**
 * Starts the counting of ends.
 */
import { EndCounter } from '../maintenance/end-counter.ts';
import type { Database } from './database.ts';

/** Every engine offers to count; one at a time does. @returns a function that stops it */
export function startEndCounter(
  { workPool: pool, route }: Database,
  onError: (error: unknown) => void,
): () => Promise<void> {
  const counter = new EndCounter({ pool, features: route.features, onError });
  counter.start();
  return () => counter.close();
}
