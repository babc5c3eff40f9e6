/**
 * Units whose outputs took time, until a commit takes them: a limited number of characters at once, and large outputs
 * apart from the others.
 */
import { type DecidedUnit, hasLargePayload, LARGE_PAYLOAD, MAX_PAYLOAD, payloadLength } from './unit.ts';

export class DecidedUnits {
  #small: DecidedUnit[] = [];
  #large: DecidedUnit[] = [];

  add(unit: DecidedUnit): void {
    (isLargeUnit(unit) ? this.#large : this.#small).push(unit);
  }

  /** Returns the units for the next commit, of large outputs or of others. */
  take(isLarge: boolean): DecidedUnit[] {
    const units = isLarge ? this.#large : this.#small;
    let length = 0;
    const beyond = units.findIndex((unit) => {
      const isFull = length >= MAX_PAYLOAD;
      length += lengthOf(unit);
      return isFull;
    });
    return units.splice(0, beyond < 0 ? units.length : beyond);
  }
}

/** Returns the characters of its outputs: the execution's, and those of the steps that ended it. */
function lengthOf({ outputs, mails }: DecidedUnit): number {
  return mails.reduce((sum, { event }) => sum + payloadLength(event), outputs?.length ?? 0);
}

function isLargeUnit({ outputs, mails }: DecidedUnit): boolean {
  return (outputs?.length ?? 0) >= LARGE_PAYLOAD || hasLargePayload(mails);
}
