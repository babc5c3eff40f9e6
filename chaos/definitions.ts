/**
 * Random definitions: the graphs of the property tests, dressed with step types, guards, timeouts and limits, and
 * the inputs that make an execution of one behave as behaviour.ts says.
 */
import fc from 'fast-check';
import type { Json, JsonObject } from '../core/json/json.ts';
import type { Template, TemplateStep } from '../core/template.ts';
import { racingTemplates, templates, undoneTemplates } from '../tests/support/core/graphs.ts';
import { ROUTES } from '../tests/support/core/route-names.ts';
import { type Behaviour, HANG_TIMEOUT_MS, type StepTraits } from './behaviour.ts';
import { type Chance, chance } from './chance.ts';
import { childFails, childParameters } from './children/document.ts';
import type { Options } from './options.ts';
import { drawHeld, heldParameters } from './scopes/held.ts';
import { type Fate, holderBehaviour, workOf } from './scopes/outcomes.ts';
import { signalName, silentName } from './waits/names.ts';
import { taskParameters } from './workers/task.ts';

/** `racing`: joins may cancel losers; `undone`: steps may have compensations. */
export type DefinitionKind = 'plain' | 'racing' | 'undone';

export interface DrawnDefinition {
  readonly name: string;
  readonly kind: DefinitionKind;
  readonly template: Template;
  /** By step key. */
  readonly traits: ReadonlyMap<string, StepTraits>;
  /** As it is published. */
  readonly document: JsonObject;
}

const FEWEST_STEPS = 3;
const TRIES = 6;

/** @param accepts whether a document can be published: graphs whose joins can never fire are drawn again */
export function drawDefinitions(
  { seed, templates: count, maxSteps }: Options,
  accepts: (document: JsonObject) => boolean,
): DrawnDefinition[] {
  return Array.from({ length: count }, (_, at) => {
    const draw = chance(seed, 'definition', at);
    for (;;) {
      const definition = drawDefinition(draw, at, maxSteps);
      if (definition.template.steps.length >= FEWEST_STEPS && accepts(definition.document)) return definition;
    }
  });
}

function drawDefinition(draw: Chance, at: number, maxSteps: number): DrawnDefinition {
  const kind = draw.happens(0.6) ? 'plain' : draw.pick(['racing', 'undone'] as const);
  const template = drawGraph(draw, kind, maxSteps);
  const name = `chaos-${at}`;
  const traits = new Map(template.steps.map((step) => [step.key, drawTraits(draw, kind, step)]));
  const steps = Object.fromEntries(
    template.steps.map((step) => [step.key, stepDocument(draw, step, traits.get(step.key)!)]),
  );
  return { name, kind, template, traits, document: { name, onFailure: template.onFailure, steps } };
}

const GRAPHS = { plain: templates, racing: racingTemplates, undone: undoneTemplates };

/** Many small ones and a few of up to `maxSteps`. */
function drawGraph(draw: Chance, kind: DefinitionKind, maxSteps: number): Template {
  const span = Math.max(0, maxSteps - FEWEST_STEPS);
  const wanted = FEWEST_STEPS + Math.floor(draw.next() ** 2.5 * span);
  const drawn = fc.sample(GRAPHS[kind](wanted), { seed: draw.below(2 ** 31), numRuns: TRIES });
  return drawn.reduce((best, other) => (other.steps.length > best.steps.length ? other : best));
}

/** Kinds of steps that end with something below them. */
const HOLDING = new Set<StepTraits['kind']>(['foreach', 'loop', 'child']);

function drawTraits(draw: Chance, of: DefinitionKind, { type, retry }: TemplateStep): StepTraits {
  const drawn = type === 'switch' ? draw.pick(['route', 'switch'] as const) : drawKind(draw);
  // The time that a stop gives to what is held says nothing of the order of compensations.
  const kind = of === 'undone' && HOLDING.has(drawn) ? 'effect' : drawn;
  const isEffect = kind === 'effect';
  return {
    kind,
    retries: retry.limit,
    guarded: draw.happens(0.15),
    probed: draw.happens(0.06) && isEffect,
    hangs: draw.happens(0.03) && (isEffect || kind === 'wait'),
    held: kind === 'foreach' || kind === 'loop' ? drawHeld(draw, kind) : null,
  };
}

/** The rest are effects. */
const SHARES: Partial<Readonly<Record<StepTraits['kind'], number>>> = {
  noop: 0.1,
  transform: 0.06,
  merge: 0.03,
  delay: 0.03,
  foreach: 0.03,
  loop: 0.02,
  wait: 0.03,
  task: 0.03,
  child: 0.03,
};

function drawKind(draw: Chance): StepTraits['kind'] {
  const at = draw.next();
  let share = 0;
  for (const [kind, its] of Object.entries(SHARES)) {
    share += its;
    if (at < share) return kind as StepTraits['kind'];
  }
  return 'effect';
}

function stepDocument(draw: Chance, step: TemplateStep, traits: StepTraits): JsonObject {
  const { key } = step;
  const document: JsonObject = {
    type: TYPES[traits.kind],
    with: parameters(draw, key, traits),
    retry: {
      limit: traits.retries,
      delay: 10 + draw.below(300),
      backoff: draw.pick(['fixed', 'exponential']),
      jitter: draw.happens(0.5),
    },
    priority: step.priority,
  };
  if (step.edges.length > 0) document.needs = needsOf(step);
  if (step.join !== 'all')
    document.join = { atLeast: step.join, ...(step.cancelsLosers ? { cancelLosers: true } : {}) };
  if (step.compensation !== null) document.compensateWith = compensation(step.compensation);
  if (traits.guarded) document.when = `\${{ input.when.${key} }}`;
  if (traits.hangs && traits.kind === 'effect') document.timeout = HANG_TIMEOUT_MS;
  if (traits.kind === 'effect' && draw.happens(0.03))
    document.concurrency = { key: `chaos-${draw.below(4)}`, limit: 5 + draw.below(16) };
  if (traits.kind === 'effect' && draw.happens(0.02))
    document.rateLimit = { key: `chaos-${draw.below(4)}`, limit: 50, per: '1s' };
  return document;
}

function compensation({ key, retry: { limit } }: TemplateStep): JsonObject {
  return {
    type: 'chaos.effect',
    with: { seed: '${{ input.seed }}', kind: 'effect', retries: limit, hangs: false, place: key },
    retry: { limit, delay: 20, jitter: false },
  };
}

const TYPES: Readonly<Record<StepTraits['kind'], string>> = {
  effect: 'chaos.effect',
  route: 'chaos.route',
  switch: 'switch',
  noop: 'noop',
  transform: 'transform',
  merge: 'merge',
  delay: 'delay',
  foreach: 'foreach',
  loop: 'loop',
  wait: 'wait',
  task: 'task',
  child: 'workflow',
};

function parameters(draw: Chance, key: string, traits: StepTraits): JsonObject {
  const seed = '${{ input.seed }}';
  switch (traits.kind) {
    case 'effect':
    case 'route': {
      const { kind, retries, hangs } = traits;
      const plain: JsonObject = { seed, kind, retries, hangs };
      if (traits.probed) plain.probe = `\${{ input.probe.${key}.value }}`;
      // Only the sandbox can compute this.
      if (draw.happens(0.03)) plain.sandboxed = '${{ [1, 2, 3].map((n) => n * input.seed).length }}';
      return plain;
    }
    case 'switch': {
      const cases = ROUTES.map((route) => ({ route, when: `\${{ input.take.${key}.${route} }}` }));
      return { cases, multiple: true };
    }
    case 'noop':
      return { seed, step: key };
    case 'transform':
      return { value: { seed, step: key } };
    case 'merge':
      return { mode: 'collect' };
    case 'delay':
      return { for: 10 + draw.below(490) };
    case 'foreach':
    case 'loop':
      return heldParameters(traits.held!, key);
    case 'wait':
      return traits.hangs
        ? { signal: silentName(key), timeout: HANG_TIMEOUT_MS }
        : { signal: signalName(key) };
    case 'task':
      return taskParameters(traits.retries, key);
    case 'child':
      return childParameters(key);
  }
}

function needsOf({ edges }: TemplateStep): Json {
  return edges.flatMap(({ from, conditions }) =>
    conditions.map(({ on, routes }): Json => {
      if (routes !== null) return { step: from, route: [...routes] };
      return on === 'success' ? from : { step: from, on };
    }),
  );
}

export function behavioursOf(
  { template, traits }: DrawnDefinition,
  fate: Fate,
): ReadonlyMap<string, Behaviour> {
  const behaviours = new Map(
    template.steps.map(({ key }) => [key, behaviourIn(fate, key, traits.get(key)!)]),
  );
  for (const { compensation } of template.steps)
    if (compensation !== null)
      behaviours.set(compensation.key, workOf(compensation.retry.limit, fate.seed, compensation.key));
  return behaviours;
}

function behaviourIn(fate: Fate, key: string, traits: StepTraits): Behaviour {
  const behaviour = holderBehaviour(fate, key, traits);
  const fails = traits.kind === 'child' && behaviour.result === 'completed' && childFails(fate.seed, key);
  return fails ? { ...behaviour, result: 'failed' } : behaviour;
}

/** The inputs that the definition's own expressions read. */
export function inputsOf(definition: DrawnDefinition, seed: number): JsonObject {
  const when: JsonObject = {};
  const probe: JsonObject = {};
  const take: JsonObject = {};
  for (const [key, { result, routes }] of behavioursOf(definition, { seed, lost: new Set() })) {
    const traits = definition.traits.get(key);
    if (traits === undefined) continue;
    const { kind, guarded, probed } = traits;
    if (guarded) when[key] = result !== 'guarded';
    if (probed) probe[key] = result === 'broken' ? null : { value: 1 };
    if (kind === 'switch')
      take[key] = Object.fromEntries(ROUTES.map((route) => [route, routes.includes(route)]));
  }
  return { seed, when, probe, take };
}
