/**
 * Queue of units whose outputs took time, until a commit takes them: a limited number of characters at once.
 */
import { type DecidedUnit, MAX_OUTPUT } from './unit.ts';

export class DecidedUnits {
  #units: DecidedUnit[] = [];

  add(unit: DecidedUnit): void {
    this.#units.push(unit);
  }

  /** Returns the units for the next commit. */
  take(): DecidedUnit[] {
    let length = 0;
    const beyond = this.#units.findIndex(({ outputs }) => {
      const isFull = length >= MAX_OUTPUT;
      length += outputs?.length ?? 0;
      return isFull;
    });
    return this.#units.splice(0, beyond < 0 ? this.#units.length : beyond);
  }
}
