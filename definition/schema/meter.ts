/**
 * Counts the work of a check while it goes on: references followed, patterns compiled and matched.
 *
 * A few references can multiply to more work than a machine can do, and a pattern takes a step for each of its
 * instructions at each character.
 */
import { isPattern, linearPattern } from './linear-pattern.ts';
import { patternSize } from './pattern-size.ts';

/** To compile one instruction of a pattern. */
const STEPS_TO_COMPILE = 200;

/** The work of one check. */
export interface Effort {
  /** References followed and patterns matched. */
  readonly references: number;
  /** Of patterns: characters of the text times instructions of the pattern. */
  readonly steps: number;
}

/** Ends when its process is ended. */
export const THOROUGH: Effort = { references: 500_000, steps: Number.POSITIVE_INFINITY };
/** Some milliseconds. */
export const BRIEF: Effort = { references: 20_000, steps: 1_000_000 };

/** Thrown when the effort of a check is used up. */
export class TooMuchWork extends Error {}

/** Counts the work of the check that is running. */
export class Meter {
  #references = 0;
  #steps = 0;

  begin({ references, steps }: Effort): void {
    this.#references = references;
    this.#steps = steps;
  }

  spend(steps: number): void {
    this.#references -= 1;
    this.#steps -= steps;
    if (this.#references < 0 || this.#steps < 0) throw new TooMuchWork();
  }
}

export function meteredPattern(pattern: string, meter: Meter) {
  const compiled = linearPattern(pattern);
  let isMet = false;
  const test = (text: string) => {
    // The first time it is compiled, which takes some hundred steps for each instruction.
    meter.spend(compiled.size * (text.length + (isMet ? 1 : STEPS_TO_COMPILE)));
    isMet = true;
    return compiled.test(text);
  };
  return { test, toString: () => pattern };
}

export function meteredFormat(meter: Meter): (text: string) => boolean {
  return (text) => {
    meter.spend(patternSize(text) * STEPS_TO_COMPILE);
    return isPattern(text);
  };
}
