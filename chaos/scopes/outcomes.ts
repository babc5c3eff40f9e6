/**
 * The outcome of steps that hold scopes. As with all steps it is a function of the execution's seed and of a name, here of
 * the scope's place.
 */
import { type Behaviour, behaviourOf, type StepTraits } from '../behaviour.ts';
import { type HeldTraits, LAST, WORK } from './held.ts';

/** The end that a scope must come to, when nothing ends it from above. */
export interface ScopeOutcome {
  readonly place: string;
  readonly status: 'completed' | 'failed';
  /** Of an inner holder. */
  readonly held: HolderOutcome | null;
}

export interface HolderOutcome {
  /** Whether the holder fails, in each of its attempts. */
  readonly fails: boolean;
  /** Those that it opens, unless it fails before. */
  readonly scopes: readonly ScopeOutcome[];
}

/** Things that an outcome depends on. */
export interface Fate {
  readonly seed: number;
  /** Paths of tasks that failed because their workers were lost, one after the other. */
  readonly lost: ReadonlySet<string>;
}

/** A name for behaviour, and the path in the execution: of a holder, or of a scope. */
interface Place {
  readonly place: string;
  readonly path: string;
}

/** @param key of a holder at the top level */
export function holderOutcome(held: HeldTraits, fate: Fate, key: string): HolderOutcome {
  return outcomeAt(held, fate, { place: key, path: key });
}

function outcomeAt(held: HeldTraits, fate: Fate, at: Place): HolderOutcome {
  return held.type === 'loop' ? loopOutcome(held, fate, at) : foreachOutcome(held, fate, at);
}

/** @param item number of the scope's item, the first one of a batch */
function below({ place, path }: Place, index: number, item = index): Place {
  return { place: `${place}.${item}`, path: `${path}[${index}]` };
}

function foreachOutcome(held: HeldTraits, fate: Fate, at: Place): HolderOutcome {
  const { count, batch, onItemFailure, tolerate } = held;
  const scopes: ScopeOutcome[] = [];
  for (let item = 0; item < count; item += batch ?? 1)
    scopes.push(scopeOutcome(held, fate, below(at, scopes.length, item)));
  const failed = scopes.filter(({ status }) => status === 'failed').length;
  const tolerated = onItemFailure === 'stop' ? 0 : (tolerate ?? Number.POSITIVE_INFINITY);
  return { fails: failed > tolerated, scopes };
}

/** One iteration after the other, up to the first that fails. */
function loopOutcome(held: HeldTraits, fate: Fate, at: Place): HolderOutcome {
  const { count, cap } = held;
  const scopes: ScopeOutcome[] = [];
  for (let index = 0; index < (cap ?? count); index += 1) {
    const scope = scopeOutcome(held, fate, below(at, index));
    scopes.push(scope);
    if (scope.status === 'failed') return { fails: true, scopes };
  }
  return { fails: cap !== null, scopes };
}

function scopeOutcome({ inner, retries }: HeldTraits, fate: Fate, { place, path }: Place): ScopeOutcome {
  const held = inner === null ? null : outcomeAt(inner, fate, { place, path: `${path}/${LAST}` });
  const isLost = fate.lost.has(`${path}/${WORK}`);
  const fails = held === null ? isLost || workOf(retries, fate.seed, place).result === 'failed' : held.fails;
  return { place, status: fails ? 'failed' : 'completed', held };
}

/** The behaviour of a step that leaves an effect in the name of a place. */
export function workOf(retries: number, seed: number, place: string): Behaviour {
  return behaviourOf(seed, place, {
    kind: 'effect',
    retries,
    guarded: false,
    probed: false,
    hangs: false,
    held: null,
  });
}

/** Of a step that may hold scopes. */
export function holderBehaviour(fate: Fate, key: string, traits: StepTraits): Behaviour {
  const { held } = traits;
  const behaviour = behaviourOf(fate.seed, key, traits);
  if (behaviour.result !== 'completed') return behaviour;
  const fails = held === null ? fate.lost.has(key) : holderOutcome(held, fate, key).fails;
  return fails ? { ...behaviour, result: 'failed' } : behaviour;
}

/** Returns whether an output is what the scopes of a holder that completed must have given. */
export function isOutputOf(
  output: unknown,
  seed: number,
  { type, inner }: HeldTraits,
  { scopes }: HolderOutcome,
): boolean {
  const isOf = (own: unknown, scope: ScopeOutcome) => isOutputOfScope(own, seed, inner, scope);
  if (type === 'loop') return scopes.length === 0 ? output === null : isOf(output, scopes.at(-1)!);
  if (!Array.isArray(output) || output.length !== scopes.length) return false;
  return scopes.every((scope, at) => isOf(output[at], scope));
}

function isOutputOfScope(
  output: unknown,
  seed: number,
  inner: HeldTraits | null,
  { place, status, held }: ScopeOutcome,
): boolean {
  const found = output as { error?: { code?: unknown }; step?: unknown; seed?: unknown } | null;
  if (status === 'failed') return typeof found?.error?.code === 'string';
  if (inner !== null) return isOutputOf(output, seed, inner, held!);
  return found?.step === place && found.seed === seed;
}
