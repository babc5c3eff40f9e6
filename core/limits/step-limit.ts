/**
 * Decides which of the requesting steps may start under `concurrency` and `rateLimit`, without rows or clocks.
 *
 * The caller counts running steps and starts in the window, while it holds the lock of every limit named.
 *
 * Invariant 1: granted requests exceed no limit.
 * Invariant 2: a step that is held back does not hold back the steps behind it.
 */
import { createHash } from 'node:crypto';

/** A limit as a step names it, its key interpolated. */
export interface SharedLimit {
  /** The same for every step of the workspace that shares the key. */
  readonly id: string;
  readonly key: string;
  readonly limit: number;
  /** The length of the window; null: concurrency. */
  readonly perMs: number | null;
}

export interface LimitedRequest {
  readonly stepId: string;
  readonly concurrency: SharedLimit | null;
  readonly rate: SharedLimit | null;
}

/** Current use of a limit. */
export interface LimitUse {
  /** Slots taken, of a concurrency limit. */
  readonly running: number;
  /** Starts that count, of a rate. */
  readonly started: number;
  /** Milliseconds until the first of them counts no more; null: none counts, or it is a concurrency limit. */
  readonly freedInMs: number | null;
}

export type Decision =
  | { readonly granted: true }
  /** `retryAfterMs` is null when only the end of another step can help. */
  | { readonly granted: false; readonly retryAfterMs: number | null };

/** Decides the requests in their order. `uses` has every limit that they name. */
export function decideRequests(
  requests: readonly LimitedRequest[],
  uses: ReadonlyMap<string, LimitUse>,
): Decision[] {
  const granted = new Map<string, number>();
  return requests.map(({ concurrency, rate }) => {
    const given = (limit: SharedLimit) => granted.get(limit.id) ?? 0;
    if (rate !== null) {
      const { started, freedInMs } = uses.get(rate.id)!;
      if (started + given(rate) >= rate.limit)
        return { granted: false, retryAfterMs: freedInMs ?? rate.perMs };
    }
    if (concurrency !== null && uses.get(concurrency.id)!.running + given(concurrency) >= concurrency.limit) {
      return { granted: false, retryAfterMs: null };
    }
    for (const limit of [concurrency, rate]) if (limit !== null) granted.set(limit.id, given(limit) + 1);
    return { granted: true };
  });
}

/**
 * A limit's id, a UUID of version 8: keys of two workspaces are two limits, and so are a key's concurrency and
 * its rates of different windows.
 */
export function limitId(workspaceId: string | null, key: string, perMs: number | null): string {
  const named = JSON.stringify([perMs === null ? 'concurrency' : 'rate', workspaceId, perMs, key]);
  const hex = createHash('sha256').update(named).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** Returns a key's value as text, as interpolation into a longer text would write it. */
export function keyText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '' : JSON.stringify(value);
}
