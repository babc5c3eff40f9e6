/**
 * The behaviour of a step in an execution: a function of the execution's seed and the step's key alone, so that the
 * handler in an engine and the oracle in the harness agree without messages.
 *
 * Invariant: the end of a step does not depend on how often its owners are lost. A step that fails more often than it
 * is retried fails in every attempt; any other fails at most in as many of its first attempts as it has retries.
 */
import { ROUTES } from '../tests/support/core/route-names.ts';
import type { StepScript } from '../tests/support/core/scripts.ts';
import { type Chance, chance } from './chance.ts';
import type { HeldTraits } from './scopes/held.ts';

export type StepKind =
  | 'effect'
  | 'route'
  | 'switch'
  | 'noop'
  | 'transform'
  | 'merge'
  | 'delay'
  | 'foreach'
  | 'loop'
  | 'wait'
  | 'task'
  | 'child';

/** The properties of a step in its definition on which its behaviour depends. */
export interface StepTraits {
  readonly kind: StepKind;
  readonly retries: number;
  /** It has a guard. */
  readonly guarded: boolean;
  /** One of its parameters is an expression that may throw. */
  readonly probed: boolean;
  /** It has a timeout, and its handler outlasts it, or no signal comes. */
  readonly hangs: boolean;
  /** Of a foreach or loop: what it holds. */
  readonly held: HeldTraits | null;
}

export interface Behaviour extends StepScript {
  /** How long the handler takes in each of its runs. */
  readonly busyMs: number;
  /** Whether the handler heeds its signal. */
  readonly heeds: boolean;
  readonly parkMs: number;
}

/** The timeout of a step whose handler outlasts it. */
export const HANG_TIMEOUT_MS = 250;

export function behaviourOf(seed: number, key: string, traits: StepTraits): Behaviour {
  const draw = chance(seed, 'behaviour', key);
  const passes = !draw.happens(0.2);
  const breaks = draw.happens(0.3);
  const script = scriptOf(draw);
  const quiet: Behaviour = { ...script, result: 'completed', failures: 0, parks: 0 };
  if (traits.guarded && !passes) return { ...quiet, result: 'guarded' };
  if (traits.probed && breaks) return { ...quiet, result: 'broken' };
  if (traits.hangs) return { ...quiet, result: 'failed' };
  if (traits.kind !== 'effect' && traits.kind !== 'task') return quiet;
  return script.failures > traits.retries ? doomed(script) : script;
}

function scriptOf(draw: Chance): Behaviour {
  const result = draw.happens(0.1) ? 'failed' : 'completed';
  return {
    result,
    routes: ROUTES.filter(() => draw.happens(0.5)),
    failures: draw.happens(0.15) ? 1 + draw.below(3) : 0,
    parks: draw.happens(0.1) ? 1 + draw.below(2) : 0,
    busyMs: busyMs(draw),
    heeds: draw.happens(0.7),
    parkMs: 10 + draw.below(300),
  };
}

function doomed(script: Behaviour): Behaviour {
  return { ...script, result: 'failed', failures: Number.POSITIVE_INFINITY };
}

/** Most end at once; the longer ones are there to be killed. */
function busyMs(draw: Chance): number {
  const size = draw.next();
  if (size < 0.8) return 0;
  return Math.floor(size < 0.96 ? draw.between([10, 300]) : draw.between([300, 2_500]));
}

/** The output of a step with an effect; its consumers check that they get it. */
export function effectOutput(seed: number, key: string): { step: string; seed: number } {
  return { step: key, seed };
}
