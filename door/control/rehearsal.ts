/**
 * Decides events without writing anything: the views are loaded under their locks, as for a commit, changed, and thrown away.
 * Nothing in this process's memory is touched.
 */
import type { Event } from '../../core/event.ts';
import type { Plan } from '../../core/plan.ts';
import { transition } from '../../core/transition.ts';
import type { ViewKey } from '../../core/view.ts';
import type { Pool, Tx } from '../../db/connection/client.ts';
import { transact } from '../../db/connection/transact.ts';
import { newId } from '../../db/uuid.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Loaded } from '../actor.ts';
import type { Actors } from '../actors.ts';
import { takeUnit } from '../unit.ts';
import { noUnloadable } from '../unloadable.ts';
import { ViewLoader } from '../view-loader.ts';
import type { Stage, Stages } from './stage.ts';

export interface RehearsalOptions {
  readonly pool: Pool;
  readonly committer: { readonly actors: Actors };
  readonly versions: TemplateVersions;
}

/** Steps of these views are never run. */
const NO_CAPACITY = { owner: '', offer: () => {}, holds: () => true };

export class Rehearsal implements Stages {
  readonly #pool: Pool;
  readonly #actors: Actors;
  readonly #loader: ViewLoader;

  constructor({ pool, committer: { actors }, versions }: RehearsalOptions) {
    this.#pool = pool;
    this.#actors = actors;
    this.#loader = new ViewLoader({ actors, capacity: NO_CAPACITY }, versions);
  }

  /** Runs `work` in a transaction that writes nothing. */
  run<T>(work: (stage: Stage) => Promise<T>): Promise<T> {
    return transact(this.#pool, (tx) => work({ tx, load: (key) => this.#load(tx, key) }));
  }

  /** Returns the plan of an event; null: there is no such view. Late events are in its `late`. */
  plan(key: ViewKey, event: Event): Promise<Plan | null> {
    return this.run(async ({ load }) => {
      const loaded = await load(key);
      return loaded === null ? null : transition(loaded.view, [event], newId);
    });
  }

  async #load(tx: Tx, key: ViewKey): Promise<Loaded | null> {
    const unloadable = noUnloadable(false);
    const [unit] = await this.#loader.load(tx, [takeUnit(this.#actors.detached(key), [])], unloadable);
    if (unloadable.unreadable.length > 0) throw unloadable.unreadable[0]!.error;
    return unit?.loaded ?? null;
  }
}
