/**
 * Which kept signal ends which wait: the oldest wait first, and for each wait the oldest signal that fits it.
 *
 * Invariant: a signal is used or dropped at most once, and a wait takes at most one.
 */
export interface Wait {
  readonly name: string;
  readonly scope: string;
}

export interface Kept {
  readonly name: string;
  /** Null: waits of any scope may use it. */
  readonly scope: string | null;
}

/** Whether a payload fits a wait; `unknown`: that cannot be said now. */
export type Fit = 'fits' | 'misfit' | 'unknown';

export interface Pair<W, K> {
  readonly wait: W;
  readonly kept: K;
}

/**
 * Yields each signal with the wait whose turn it is, and is told whether it fits. One that does not is dropped, and the
 * wait gets the next one. A wait of which that cannot be said keeps its place: its signal is used by no other.
 * @param waits and `kept`: the oldest first
 */
export function* pairUp<W extends Wait, K extends Kept>(
  waits: readonly W[],
  kept: readonly K[],
): Generator<Pair<W, K>, void, Fit> {
  const left = [...kept];
  for (const wait of waits) {
    for (let fit: Fit = 'misfit'; fit === 'misfit'; ) {
      const at = left.findIndex(
        ({ name, scope }) => name === wait.name && (scope === null || scope === wait.scope),
      );
      if (at === -1) break;
      const [signal] = left.splice(at, 1);
      fit = yield { wait, kept: signal! };
    }
  }
}
