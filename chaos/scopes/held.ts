/**
 * Steps that hold scopes: what is drawn of them, and how they are written. A scope is named by its place: `f.3`, or `f.3.1`
 * in a nested one.
 */
import type { JsonObject } from '../../core/json/json.ts';
import type { Chance } from '../chance.ts';
import { signalName } from '../waits/names.ts';
import { taskParameters } from '../workers/task.ts';

/** The scopes that a step holds. */
export interface HeldTraits {
  readonly type: 'foreach' | 'loop';
  /** Items, or iterations. */
  readonly count: number;
  /** Null: each item is a scope of its own. */
  readonly batch: number | null;
  readonly concurrency: number;
  readonly onItemFailure: 'stop' | 'continue';
  /** Null: all. */
  readonly tolerate: number | null;
  /** Of a loop that would go on: the iterations with which it fails. Null: it ends before. */
  readonly cap: number | null;
  /** Whether the condition of a loop is written as `until`. */
  readonly until: boolean;
  readonly intervalMs: number;
  /** Retries of the step that does a scope's work, and of an inner holder. */
  readonly retries: number;
  /** The type of the step that does a scope's work. */
  readonly work: 'effect' | 'task';
  /** Whether each scope waits for a signal after its work. */
  readonly waits: boolean;
  /** Each scope holds others in its turn. */
  readonly inner: HeldTraits | null;
}

/** The last step of each scope: it is the inner holder, if there is one. */
export const LAST = 'last';
/** The first one, if there is no inner holder. */
export const WORK = 'work';

const MAX_DEPTH = 3;

export function drawHeld(draw: Chance, type: HeldTraits['type'], depth = 1): HeldTraits {
  const isLoop = type === 'loop';
  const continues = draw.happens(0.6) && !isLoop;
  const count = draw.below(depth > 1 ? 4 : isLoop ? 6 : 10);
  const isCapped = draw.happens(0.15) && isLoop && count > 1;
  return {
    type,
    count,
    batch: draw.happens(0.15) && !isLoop ? 1 + draw.below(4) : null,
    concurrency: isLoop ? 1 : 1 + draw.below(6),
    onItemFailure: continues ? 'continue' : 'stop',
    tolerate: continues && draw.happens(0.5) ? draw.below(4) : null,
    cap: isCapped ? 1 + draw.below(count - 1) : null,
    until: draw.happens(0.5) && count > 0,
    intervalMs: draw.happens(0.3) ? draw.below(100) : 0,
    retries: draw.below(3),
    work: draw.happens(0.2) ? 'task' : 'effect',
    waits: draw.happens(0.2),
    // The `iteration` of a loop in a loop would hide the outer one, of which the places are made.
    inner:
      depth < MAX_DEPTH && draw.happens(0.3)
        ? drawHeld(draw, isLoop || draw.happens(0.6) ? 'foreach' : 'loop', depth + 1)
        : null,
  };
}

/** The parameters of a holder whose scopes have these places. @param at text that gives the holder's place */
export function heldParameters(held: HeldTraits, at: string): JsonObject {
  const steps = stepsOf(held, ownPlace(held, at));
  const shared = { steps, output: `\${{ steps.${LAST}.output }}` };
  return held.type === 'loop'
    ? { ...shared, ...loopParameters(held) }
    : { ...shared, ...foreachParameters(held, at) };
}

/** Text that gives a scope's place to its steps. */
function ownPlace({ type, batch }: HeldTraits, at: string): string {
  if (type === 'loop') return `${at}.\${{ iteration }}`;
  return batch === null ? '${{ item }}' : '${{ item[0] }}';
}

function stepsOf({ inner, retries, work, waits }: HeldTraits, own: string): JsonObject {
  const retry = { limit: retries, delay: 5, jitter: false };
  if (inner !== null) return { [LAST]: { type: inner.type, with: heldParameters(inner, own), retry } };
  const seed = '${{ input.seed }}';
  const effect = { type: 'chaos.effect', with: { seed, kind: 'effect', retries, hangs: false, place: own } };
  const task = { type: 'task', with: taskParameters(retries, own) };
  const value = waits ? '${{ steps.pause.output }}' : { seed, step: own };
  return {
    [WORK]: { ...(work === 'task' ? task : effect), retry },
    ...(waits ? { pause: { type: 'wait', needs: [WORK], with: { signal: signalName(own) } } } : {}),
    [LAST]: { type: 'transform', needs: [waits ? 'pause' : WORK], with: { value } },
  };
}

function foreachParameters(
  { count, batch, concurrency, onItemFailure, tolerate }: HeldTraits,
  at: string,
): JsonObject {
  return {
    items: Array.from({ length: count }, (_, index) => `${at}.${index}`),
    concurrency,
    onItemFailure,
    ...(batch === null ? {} : { batch }),
    ...(tolerate === null ? {} : { tolerate }),
  };
}

function loopParameters({ count, cap, until, intervalMs }: HeldTraits): JsonObject {
  return {
    ...(until ? { until: `\${{ iteration >= ${count - 1} }}` } : { while: `\${{ iteration < ${count} }}` }),
    ...(cap === null ? {} : { maxIterations: cap }),
    interval: intervalMs,
  };
}
