/**
 * Units that could not be loaded under their locks; they are settled when the transaction is through.
 */
import type { Unit } from './unit.ts';

export interface Unloadable {
  /** Units of executions locked elsewhere; null: their locks are waited for. */
  readonly locked: Unit[] | null;
  /** Units that this engine cannot read, with the reason. */
  readonly unreadable: { readonly unit: Unit; readonly error: Error }[];
  /** Units whose execution does not exist, or is unreadable and only ends: no result is expected. */
  readonly missing: Unit[];
}

/** Creates the lists of one attempt. @param passOver see `locked` */
export function noUnloadable(passOver: boolean): Unloadable {
  return { locked: passOver ? [] : null, unreadable: [], missing: [] };
}
