/**
 * Units whose outputs took time, until a commit takes them: only so many characters of them at once.
 */
import { type DecidedUnit, MAX_OUTPUT } from './unit.ts';

export class DecidedUnits {
  #units: DecidedUnit[] = [];

  add(unit: DecidedUnit): void {
    this.#units.push(unit);
  }

  /** Returns those that go with the next commit. */
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
