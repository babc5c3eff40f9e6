/**
 * The allowed ends of an execution: the oracle of the property tests, with the behaviour of each step, is compared with
 * the rows.
 *
 * Without an early end there is one allowed outcome. With one there is a set: the steps that are not `cancelled` are
 * played to the oracle, then the end, and all their consequences must be there. So every consistent early end is
 * allowed.
 */

import { Oracle } from '../tests/support/core/oracle.ts';
import { Performance } from '../tests/support/core/scripts.ts';
import type { Behaviour } from './behaviour.ts';
import { behavioursOf, type DrawnDefinition } from './definitions.ts';
import type { Ending } from './plan.ts';

export interface FoundStep {
  readonly status: string;
  /** By producer: whether the edge was live. */
  readonly edges: ReadonlyMap<string, boolean>;
}

export interface FoundExecution {
  readonly status: string;
  /** The step its error names. */
  readonly errorStep: string | null;
  readonly steps: ReadonlyMap<string, FoundStep>;
}

const ENDED_BY_ITSELF = new Set(['completed', 'failed', 'skipped']);

/** The contradictions, a sentence each. */
export function contradictions(
  definition: DrawnDefinition,
  seed: number,
  ending: Ending | null,
  found: FoundExecution,
): string[] {
  if (found.status === 'cancelled' && ending === null) return ['it was cancelled, and nobody asked for it'];
  const replay = new Replay(definition, seed, found, found.status === 'cancelled' ? ending!.kind : null);
  return replay.run();
}

class Replay {
  readonly #definition: DrawnDefinition;
  readonly #behaviours: ReadonlyMap<string, Behaviour>;
  readonly #found: FoundExecution;
  readonly #endedBy: Ending['kind'] | null;
  readonly #oracle: Oracle;

  constructor(
    definition: DrawnDefinition,
    seed: number,
    found: FoundExecution,
    endedBy: Ending['kind'] | null,
  ) {
    this.#definition = definition;
    this.#behaviours = behavioursOf(definition, seed);
    this.#found = found;
    this.#endedBy = endedBy;
    this.#oracle = new Oracle(definition.template);
  }

  run(): string[] {
    const oracle = this.#oracle;
    oracle.tell({ fact: 'begin' });
    const fatal = this.#fatal();
    this.#playAll((key) => key !== fatal && !this.#isLate(key));
    if (fatal !== null) this.#play(fatal);
    if (this.#endedBy === 'stop') this.#stop();
    if (this.#endedBy === 'cancel') oracle.tell({ fact: 'cancel' });
    return [...this.#compareEnd(), ...this.#compareSteps(), ...this.#compareEdges()];
  }

  /** The failure that ended the execution, the last of its events. */
  #fatal(): string | null {
    const { status, errorStep } = this.#found;
    return status === 'failed' && this.#definition.template.onFailure === 'stop' ? errorStep : null;
  }

  /** Its failure came after the stop, when failures are neither retried nor the end. */
  #isLate(key: string): boolean {
    if (this.#endedBy !== 'stop' || this.#found.steps.get(key)?.status !== 'failed') return false;
    const { result } = this.#behaviours.get(key)!;
    if (result !== 'failed' && result !== 'broken') return true;
    return this.#definition.template.onFailure === 'stop' && this.#isUnhandled(key);
  }

  #playAll(isPlayed: (key: string) => boolean): void {
    const { steps } = this.#oracle.verdict;
    for (let found = true; found; ) {
      found = false;
      for (const { key } of this.#definition.template.steps) {
        const status = this.#found.steps.get(key)?.status ?? '';
        if (steps[key] !== 'queued' || !ENDED_BY_ITSELF.has(status) || !isPlayed(key)) continue;
        this.#play(key);
        found = true;
      }
    }
  }

  /** To the end of the step, all its attempts. */
  #play(key: string): void {
    const oracle = this.#oracle;
    const performance = this.#performance(key);
    while (oracle.verdict.steps[key] === 'queued') {
      if (!oracle.tell({ fact: 'claimed', key })) return;
      const fact = performance.next(key);
      performance.advance(fact);
      oracle.tell(fact);
      oracle.tell({ fact: 'resumed', key });
      oracle.tell({ fact: 'retry due', key });
    }
  }

  #performance(key: string): Performance {
    const { kind } = this.#definition.traits.get(key)!;
    return new Performance(this.#behaviours.get(key)!, kind === 'route' || kind === 'switch');
  }

  #stop(): void {
    const oracle = this.#oracle;
    const late = this.#definition.template.steps.filter(({ key }) => this.#isLate(key));
    for (const { key } of late) oracle.tell({ fact: 'claimed', key });
    oracle.tell({ fact: 'stop' });
    for (const { key } of late) oracle.tell({ fact: 'failed', key, retryable: false, begun: true });
  }

  #compareEnd(): string[] {
    const { execution, error } = this.#oracle.verdict;
    const { status, errorStep } = this.#found;
    // The last step may have ended after the stop.
    const afterTheStop = this.#endedBy === 'stop' && ['completed', 'failed'].includes(execution);
    const wrong: string[] = [];
    if (execution !== status && !afterTheStop)
      wrong.push(`it is ${status} and should be ${execution}${error === null ? '' : ` for ${error}`}`);
    if (status === 'failed' && !this.#isUnhandled(errorStep))
      wrong.push(`its error names ${errorStep}, which is no unhandled failure`);
    return wrong;
  }

  #isUnhandled(key: string | null): boolean {
    if (key === null || this.#found.steps.get(key)?.status !== 'failed') return false;
    return !this.#definition.template.steps.some(({ edges }) =>
      edges.some(({ from, conditions }) => from === key && conditions.some(({ on }) => on !== 'success')),
    );
  }

  #compareSteps(): string[] {
    const { steps } = this.#oracle.verdict;
    return this.#definition.template.steps.flatMap(({ key }) => {
      const status = this.#found.steps.get(key)?.status ?? 'absent';
      const expected = steps[key]!;
      if (status === expected) return [];
      // After a stop no step is made ready, and so none is skipped.
      if (this.#endedBy === 'stop' && status === 'cancelled' && expected === 'skipped') return [];
      return [`${key} is ${status} and should be ${expected}`];
    });
  }

  #compareEdges(): string[] {
    if (this.#endedBy === 'stop') return [];
    const { edges: expected } = this.#oracle.verdict;
    return this.#definition.template.steps.flatMap(({ key, edges }) => {
      const found = this.#found.steps.get(key)?.edges;
      return edges.flatMap(({ from }, at) => {
        const live = found?.get(from);
        const is = live === undefined ? 'open' : live ? 'live' : 'dead';
        const should = expected[key]![at]!;
        return is === should ? [] : [`the edge from ${from} to ${key} is ${is} and should be ${should}`];
      });
    });
  }
}
