/**
 * Modules that are loaded when they are first needed: most processes of the engine never need them, and loading takes a
 * good part of the time that a process takes to start.
 */
import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);

/** Returns a function that loads a CommonJS package, once. */
export function onDemand<T>(name: string): () => T {
  return () => load(name) as T;
}
