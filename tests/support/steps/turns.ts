/**
 * `turn`: a step type whose runs a test in the same process sees begin, one after the other, and lets go on. Of the
 * recording step types it is the one that records nothing in the database.
 *
 * The order of beginnings is exact, and a run ends when the test says so.
 */
import { type StepContext, StepFailure, type StepType } from '../../../steps/step-type.ts';

interface Begun {
  readonly executionId: string;
  readonly step: string;
}

/** The runs at one place, in the order they began. */
export class Turns {
  readonly begun: Begun[] = [];
  readonly #held: (() => void)[] = [];
  readonly #watchers = new Set<() => void>();
  #open: boolean;

  constructor(open: boolean) {
    this.#open = open;
  }

  /** Resolves when the run may end. */
  begin(run: Begun): Promise<void> {
    this.begun.push(run);
    for (const watcher of this.#watchers) watcher();
    return this.#open ? Promise.resolve() : new Promise((resolve) => this.#held.push(resolve));
  }

  /** Lets the run end that has waited longest. */
  releaseOne(): void {
    this.#held.shift()?.();
  }

  /** Lets all runs end, those that wait and those that come. */
  releaseAll(): void {
    this.#open = true;
    for (const release of this.#held.splice(0)) release();
  }

  /** Which beginning that of the execution's step was, from 0; -1 when there was none. */
  placeOf(executionId: string, step: string): number {
    return this.begun.findIndex((run) => run.executionId === executionId && run.step === step);
  }

  /** Resolves when so many runs have begun. */
  reached(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (this.begun.length < count) return;
      this.#watchers.delete(look);
      resolve();
    };
    this.#watchers.add(look);
    look();
    return promise;
  }
}

const places = new Map<string, Turns>();

/** A place of its own: steps name it in `with.place`. `open`: its runs end at once. */
export function turnsAt(place: string, { open = false } = {}): Turns {
  const turns = new Turns(open);
  places.set(place, turns);
  return turns;
}

export const turn: StepType = {
  type: 'turn',
  summary: 'For tests.',
  schema: { type: 'object' },
  run: async ({ execution, step, params }: StepContext) => {
    const turns = places.get(String(params.place));
    if (turns === undefined) throw new StepFailure('no_place', `No test looks at ${params.place}`);
    await turns.begin({ executionId: execution.id, step: step.key });
    return null;
  },
};
