/**
 * Steps that hold scopes: what is drawn of them, how they are written, and what must become of them. As with all steps this is
 * a function of the execution's seed and of a name, here of the item's place: `f.3`, or `f.3.1` in a nested one.
 */
import type { JsonObject } from '../core/json/json.ts';
import { type Behaviour, behaviourOf, type HeldTraits, type StepTraits } from './behaviour.ts';
import type { Chance } from './chance.ts';

/** What a scope must come to, when nothing ends it from above. */
export interface ScopeOutcome {
  readonly place: string;
  readonly status: 'completed' | 'failed';
  /** Of an inner foreach. */
  readonly scopes: readonly ScopeOutcome[];
}

const MAX_DEPTH = 3;

export function drawHeld(draw: Chance, depth = 1): HeldTraits {
  const continues = draw.happens(0.6);
  return {
    items: draw.below(depth === 1 ? 13 : 5),
    batch: draw.happens(0.15) ? 1 + draw.below(4) : null,
    concurrency: 1 + draw.below(6),
    onItemFailure: continues ? 'continue' : 'stop',
    tolerate: continues && draw.happens(0.5) ? draw.below(4) : null,
    retries: draw.below(3),
    inner: depth < MAX_DEPTH && draw.happens(0.3) ? drawHeld(draw, depth + 1) : null,
  };
}

/** The parameters of a foreach whose items have these places. @param at expression text that gives the own place */
export function foreachParameters(held: HeldTraits, at: string): JsonObject {
  const { items, batch, concurrency, onItemFailure, tolerate, inner, retries } = held;
  const own = batch === null ? '${{ item }}' : '${{ item[0] }}';
  const retry = { limit: retries, delay: 5, jitter: false };
  const seed = '${{ input.seed }}';
  const steps: JsonObject =
    inner === null
      ? {
          work: {
            type: 'chaos.effect',
            with: { seed, kind: 'effect', retries, hangs: false, place: own },
            retry,
          },
          last: { type: 'transform', needs: ['work'], with: { value: { seed, step: own } } },
        }
      : { last: { type: 'foreach', with: foreachParameters(inner, own), retry } };
  return {
    items: Array.from({ length: items }, (_, index) => `${at}.${index}`),
    steps,
    output: '${{ steps.last.output }}',
    concurrency,
    onItemFailure,
    ...(batch === null ? {} : { batch }),
    ...(tolerate === null ? {} : { tolerate }),
  };
}

/** What must become of each scope. */
export function scopeOutcomes(held: HeldTraits, seed: number, place: string): ScopeOutcome[] {
  const { items, batch, inner } = held;
  const outcomes: ScopeOutcome[] = [];
  for (let index = 0; index < items; index += batch ?? 1) {
    const own = `${place}.${index}`;
    const scopes = inner === null ? [] : scopeOutcomes(inner, seed, own);
    const fails =
      inner === null ? itemBehaviour(held, seed, own).result === 'failed' : failsWith(inner, scopes);
    outcomes.push({ place: own, status: fails ? 'failed' : 'completed', scopes });
  }
  return outcomes;
}

/** Of a step that may hold scopes. */
export function holderBehaviour(seed: number, key: string, traits: StepTraits): Behaviour {
  const { held } = traits;
  const behaviour = behaviourOf(seed, key, traits);
  if (held === null || behaviour.result !== 'completed') return behaviour;
  return failsWith(held, scopeOutcomes(held, seed, key)) ? { ...behaviour, result: 'failed' } : behaviour;
}

/** Whether more of its scopes fail than a foreach tolerates, in each of its attempts. */
export function failsWith(
  { onItemFailure, tolerate }: HeldTraits,
  outcomes: readonly ScopeOutcome[],
): boolean {
  const failed = outcomes.filter(({ status }) => status === 'failed').length;
  if (onItemFailure === 'stop') return failed > 0;
  return failed > (tolerate ?? Number.POSITIVE_INFINITY);
}

function itemBehaviour({ retries }: HeldTraits, seed: number, place: string): Behaviour {
  const traits = { retries, guarded: false, probed: false, hangs: false, held: null } as const;
  return behaviourOf(seed, place, { ...traits, kind: 'effect' });
}

/** Returns whether a list is what the scopes must have given. */
export function isOutputOf(output: unknown, seed: number, outcomes: readonly ScopeOutcome[]): boolean {
  if (!Array.isArray(output) || output.length !== outcomes.length) return false;
  return outcomes.every(({ place, status, scopes }, at) => {
    const own = output[at];
    if (status === 'failed') return typeof own?.error?.code === 'string';
    if (Array.isArray(own)) return isOutputOf(own, seed, scopes);
    return own?.step === place && own.seed === seed;
  });
}
