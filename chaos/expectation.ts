/**
 * The allowed ends of an execution: the oracle of the property tests, with the behaviour of each step, is compared with
 * the rows.
 *
 * Without an early end there is one allowed outcome. With one there is a set: the steps that are not `cancelled` are
 * played to the oracle, then the end, and all their consequences must be there. So every consistent early end is
 * allowed.
 */

import type { Verdict } from '../tests/support/core/facts.ts';
import { Oracle } from '../tests/support/core/oracle.ts';
import { Performance } from '../tests/support/core/scripts.ts';
import type { Behaviour } from './behaviour.ts';
import { type Chance, chance } from './chance.ts';
import { behavioursOf, type DrawnDefinition } from './definitions.ts';
import { type Course, type LoggedCommit, replayInOrder, STOP } from './ordered-replay.ts';
import type { Ending } from './plan.ts';
import type { Fate } from './scopes/outcomes.ts';

export interface FoundStep {
  readonly status: string;
  /** By producer: whether the edge was live. */
  readonly edges: ReadonlyMap<string, boolean>;
}

export interface FoundExecution {
  readonly status: string;
  /** In which order the steps ended. */
  readonly commits: readonly LoggedCommit[];
  /** The step its error names. */
  readonly errorStep: string | null;
  readonly steps: ReadonlyMap<string, FoundStep>;
}

const ENDED_BY_ITSELF = new Set(['completed', 'failed', 'skipped']);

/** The contradictions, a sentence each. */
export function contradictions(
  definition: DrawnDefinition,
  fate: Fate,
  ending: Ending | null,
  found: FoundExecution,
): string[] {
  if (found.status === 'cancelled' && ending === null) return ['it was cancelled, and nobody asked for it'];
  const isStopped = found.commits.flat().includes(STOP);
  if (definition.kind === 'undone' || (definition.kind === 'racing' && !isStopped))
    return contradictionsInOrder(definition, fate, ending, found);
  // A step that runs when a stop comes ends as it does without the race.
  const replay = (endedBy: EndedBy) => new Replay(withoutRaces(definition), fate, found, endedBy).run();
  if (found.status !== 'cancelled') return replay(null);
  if (ending!.kind !== 'both') return replay(ending!.kind);
  const ofStop = replay('stop');
  return ofStop.length === 0 ? [] : replay('cancel');
}

type EndedBy = 'stop' | 'cancel' | null;

function withoutRaces(definition: DrawnDefinition): DrawnDefinition {
  if (definition.kind !== 'racing') return definition;
  const { template } = definition;
  const steps = template.steps.map((step) => ({ ...step, cancelsLosers: false }));
  return { ...definition, template: { ...template, steps } };
}

/** Orders of the ends within their commits that are tried, of which the log says nothing. */
const MAX_ORDERS = 40;

function contradictionsInOrder(
  definition: DrawnDefinition,
  fate: Fate,
  ending: Ending | null,
  found: FoundExecution,
): string[] {
  const draw = chance(fate.seed, 'orders');
  const first = contradictionsIn(definition, fate, ending, found);
  if (first.length === 0 || found.commits.every(({ length }) => length < 2)) return first;
  for (let tried = 1; tried < MAX_ORDERS; tried += 1) {
    const commits = found.commits.map((keys) => shuffled(keys, draw));
    if (contradictionsIn(definition, fate, ending, { ...found, commits }).length === 0) return [];
  }
  return first;
}

function shuffled(keys: LoggedCommit, draw: Chance): LoggedCommit {
  return keys
    .map((key) => ({ key, at: draw.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ key }) => key);
}

/** A cancel may have come while steps had time to end, before the first compensation, or later. */
function contradictionsIn(
  definition: DrawnDefinition,
  fate: Fate,
  ending: Ending | null,
  found: FoundExecution,
): string[] {
  const isCancelled = found.status === 'cancelled' && ending?.kind !== 'stop';
  const wrong = contradictionsOf(definition, fate, found, { isCancelled, cancelledRan: false });
  if (wrong.length === 0 || !isCancelled) return wrong;
  const isAllowed =
    contradictionsOf(definition, fate, found, { isCancelled, cancelledRan: true }).length === 0;
  return isAllowed ? [] : wrong;
}

function contradictionsOf(
  definition: DrawnDefinition,
  fate: Fate,
  found: FoundExecution,
  cancel: Pick<Course, 'isCancelled' | 'cancelledRan'>,
): string[] {
  const statuses = new Map([...found.steps].map(([key, { status }]) => [key, status]));
  const windsDown =
    found.commits.flat().includes(STOP) || [...statuses.keys()].some((key) => key.includes('~'));
  const { verdict, outOfOrder } = replayInOrder({
    definition,
    behaviours: behavioursOf(definition, fate),
    found: statuses,
    commits: found.commits,
    errorStep: found.errorStep,
    ...cancel,
  });
  const wrong = outOfOrder.map((key) => `${key} ended when it could not`);
  if (verdict.execution !== found.status)
    wrong.push(
      `it is ${found.status} and should be ${verdict.execution}, with the error of ${verdict.error}`,
    );
  if (found.status === 'failed' && verdict.error !== found.errorStep)
    wrong.push(`its error names ${found.errorStep} and should name ${verdict.error}`);
  for (const [key, expected] of Object.entries(verdict.steps)) {
    const status = statuses.get(key) ?? 'absent';
    // While it winds down no step is made ready, and so none is skipped.
    if (status === expected || (windsDown && status === 'cancelled' && expected === 'skipped')) continue;
    wrong.push(`${key} is ${status} and should be ${expected}`);
  }
  return windsDown ? wrong : [...wrong, ...wrongEdges(definition, found, verdict)];
}

function wrongEdges(
  { template }: DrawnDefinition,
  found: FoundExecution,
  { edges: expected }: Verdict,
): string[] {
  return template.steps.flatMap(({ key, edges }) => {
    const its = found.steps.get(key)?.edges;
    return edges.flatMap(({ from }, at) => {
      const live = its?.get(from);
      const is = live === undefined ? 'open' : live ? 'live' : 'dead';
      const should = expected[key]![at]!;
      return is === should ? [] : [`the edge from ${from} to ${key} is ${is} and should be ${should}`];
    });
  });
}

class Replay {
  readonly #definition: DrawnDefinition;
  readonly #behaviours: ReadonlyMap<string, Behaviour>;
  readonly #found: FoundExecution;
  readonly #endedBy: EndedBy;
  readonly #oracle: Oracle;

  constructor(definition: DrawnDefinition, fate: Fate, found: FoundExecution, endedBy: EndedBy) {
    this.#definition = definition;
    this.#behaviours = behavioursOf(definition, fate);
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
    return wrongEdges(this.#definition, this.#found, this.#oracle.verdict);
  }
}
