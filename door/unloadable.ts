/**
 * Units that could not be loaded under their locks; they are settled when the transaction is through.
 */
import type { Unit } from './unit.ts';

export interface Unloadable {
  /** Somebody else has the execution locked; null: those are waited for. */
  readonly locked: Unit[] | null;
  /** This engine does not understand the execution, and why. */
  readonly unreadable: { readonly unit: Unit; readonly error: Error }[];
  /** There is no such execution, or nothing but its end: it is not understood, and nothing will come of it. */
  readonly missing: Unit[];
}

/** Of one attempt; `passOver`: see `locked`. */
export function noUnloadable(passOver: boolean): Unloadable {
  return { locked: passOver ? [] : null, unreadable: [], missing: [] };
}
