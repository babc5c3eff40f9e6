/**
 * `turn`: a step type whose runs a test sees begin, one after the other, and lets go on. Handlers run in processes of
 * their own: they call the test, and their run ends when it answers. Of the recording step types it is the one that
 * records nothing in the database.
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

/** Where runs call: steps name its URL in `with.place`. */
export interface TurnPlace {
  readonly url: string;
  /** What comes from now on is seen here. `open`: runs end at once. */
  open(how?: { open?: boolean }): Turns;
  close(): Promise<void>;
}

export function turnPlace(): TurnPlace {
  let turns = new Turns(true);
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    fetch: async (request) => {
      await turns.begin((await request.json()) as Begun);
      return new Response();
    },
  });
  return {
    url: server.url.href,
    open: ({ open = false } = {}) => {
      turns = new Turns(open);
      return turns;
    },
    close: () => server.stop(true),
  };
}

export const turn: StepType = {
  type: 'turn',
  summary: 'For tests.',
  schema: { type: 'object' },
  run: async ({ execution, step, params }: StepContext) => {
    const body = JSON.stringify({ executionId: execution.id, step: step.key });
    const answer = await fetch(String(params.place), { method: 'POST', body }).catch(() => null);
    if (answer?.ok !== true) throw new StepFailure('no_place', `No test looks at ${params.place}`);
    return null;
  },
};
