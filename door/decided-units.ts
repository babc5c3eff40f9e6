/**
 * Units whose outputs took time, until a commit takes them: only so many characters of them at once.
 */
import { MAX_OUTPUT, type Unit } from './unit.ts';

export class DecidedUnits {
  #units: Unit[] = [];

  add(unit: Unit): void {
    this.#units.push(unit);
  }

  /** What the next commit takes. */
  take(): Unit[] {
    let length = 0;
    const beyond = this.#units.findIndex(({ outputs }) => {
      const isFull = length >= MAX_OUTPUT;
      length += outputs?.length ?? 0;
      return isFull;
    });
    return this.#units.splice(0, beyond < 0 ? this.#units.length : beyond);
  }
}
