/**
 * Scopes that a commit was to open of which nobody knows whether it went through: its answer was lost. Once the view of their
 * holder is committed again, those that it has not opened anew are looked for: they may be there, with claims of this process.
 */
import { type ViewKey, viewKey } from '../../core/view.ts';
import type { Actors } from '../actors.ts';
import type { DecidedUnit } from '../unit.ts';

export class UnsureScopes {
  readonly #actors: Pick<Actors, 'get' | 'mark'>;
  /** By the view of their holder. */
  readonly #scopes = new Map<ViewKey, Set<ViewKey>>();

  constructor(actors: Pick<Actors, 'get' | 'mark'>) {
    this.#actors = actors;
  }

  add({ actor, loaded: { view } }: DecidedUnit): void {
    const around = viewKey(view.id, view.scope!.around);
    const known = this.#scopes.get(around);
    if (known === undefined) this.#scopes.set(around, new Set([actor.key]));
    else known.add(actor.key);
  }

  /** The view of holders is over its commit, or is given up. */
  settled(around: ViewKey): void {
    if (this.#scopes.size === 0) return;
    const scopes = this.#scopes.get(around) ?? [];
    this.#scopes.delete(around);
    // One that is there may have looked before the commit went through.
    for (const key of scopes) this.#actors.mark(this.#actors.get(key));
  }
}
