/**
 * The plan of a run: every execution and the moment of its early end, each computed from the seed and its place.
 */

import type { JsonObject } from '../core/json/json.ts';
import { readDefinition } from '../definition/definition.ts';
import { createStepTypes } from '../steps/registry.ts';
import { lintContext } from '../template/context.ts';
import { type Chance, chance } from './chance.ts';
import { type DrawnDefinition, drawDefinitions, inputsOf } from './definitions.ts';
import type { Options } from './options.ts';
import { chaosStepTypes } from './step-types.ts';

export interface Ending {
  /** `both`: at the same moment. */
  readonly kind: 'stop' | 'cancel' | 'both';
  /** After the start was acknowledged. */
  readonly afterMs: number;
}

export interface PlannedExecution {
  readonly place: number;
  readonly definition: DrawnDefinition;
  readonly seed: number;
  readonly ending: Ending | null;
  /** The same start goes to two engines at once. */
  readonly twice: boolean;
}

/** A start as the API takes it. */
export interface Start {
  readonly template: string;
  readonly inputs: JsonObject;
  readonly idempotency_key: string;
  readonly priority: number;
  readonly start_after?: string;
}

const MAX_AT_ONCE = 40;
/** Definitions in use at a time: an engine that was killed reads them all again. */
const MAX_IN_USE = 20;
const NOTHING_RUNS = {
  http: { allow: [], maxResponseBytes: 1, timeoutMs: 1 },
  script: { timeoutMs: 1, memoryBytes: 1 },
};

export class Plan {
  readonly options: Options;
  readonly definitions: readonly DrawnDefinition[];

  constructor(options: Options) {
    this.options = options;
    this.definitions = drawDefinitions(options, publishable());
  }

  execution(place: number): PlannedExecution {
    const draw = this.#draw(place);
    const definition = draw.pick(this.#inUse(place));
    const seed = draw.below(2 ** 31);
    const ending = draw.happens(0.05) ? drawEnding(draw) : null;
    return { place, definition, seed, ending, twice: draw.happens(0.05) };
  }

  start(place: number): Start {
    const { definition, seed } = this.execution(place);
    const draw = chance(seed, 'start');
    return {
      template: definition.name,
      inputs: inputsOf(definition, seed),
      idempotency_key: this.key(place),
      priority: draw.below(3),
      ...(draw.happens(0.05) ? { start_after: `${50 + draw.below(950)}ms` } : {}),
    };
  }

  /** The steps at the top level whose signal is sent right after the start. */
  early(place: number): string[] {
    const { definition, seed } = this.execution(place);
    const draw = chance(seed, 'early');
    return [...definition.traits].flatMap(([key, { kind, hangs }]) =>
      kind === 'wait' && draw.happens(0.3) && !hangs ? [key] : [],
    );
  }

  /** The number of executions in the call that starts this one. */
  groupSize(place: number): number {
    const draw = chance(this.options.seed, 'group', place);
    return draw.happens(0.6) ? 1 : 2 + draw.below(MAX_AT_ONCE - 1);
  }

  key(place: number): string {
    return `chaos-${this.options.seed}-${place}`;
  }

  /** The place of an idempotency key; null: it is not of this run. */
  placeOf(key: string | null): number | null {
    const prefix = `chaos-${this.options.seed}-`;
    if (key === null || !key.startsWith(prefix)) return null;
    const place = Number(key.slice(prefix.length));
    return place < this.options.executions ? place : null;
  }

  /** They change while the run goes on, until each had its turn. */
  #inUse(place: number): readonly DrawnDefinition[] {
    const others = Math.max(0, this.definitions.length - MAX_IN_USE);
    const from = Math.round((place / this.options.executions) * others);
    return this.definitions.slice(from, from + MAX_IN_USE);
  }

  #draw(place: number): Chance {
    return chance(this.options.seed, 'execution', place);
  }
}

/** The answer of an engine of the run to a document. */
function publishable(): (document: JsonObject) => boolean {
  const stepTypes = createStepTypes({ ...NOTHING_RUNS, extra: chaosStepTypes() });
  const context = lintContext(stepTypes, { maxSteps: 10_000, maxDepth: 512 }, []);
  return (document) => readDefinition(document, context).errors.length === 0;
}

function drawEnding(draw: Chance): Ending {
  return {
    kind: draw.pick(['stop', 'stop', 'cancel', 'cancel', 'both'] as const),
    afterMs: Math.floor(draw.next() ** 2 * 2_000),
  };
}
