/**
 * Folds the ends of scopes that other engines have left for a view in the memory of this one: as soon as it is told, in its
 * next commit of the view, and without a lock.
 *
 * A hint, as notifications are: rows that are not folded here have a ticket, which comes due a little later.
 *
 * Invariant: rows are folded on the view as this process knows it, and by a commit that fails when another one has changed
 * the view or has taken one of the rows (db/scopes/inbox.ts). It is decided again under a lock then, and reads them anew. Rows
 * that change nothing in the view stay: it may be of before what they tell (door/scopes/outgoing.ts).
 */
import { isFinalExecution } from '../../core/status.ts';
import type { ViewKey } from '../../core/view.ts';
import type { Db } from '../../db/connection/client.ts';
import { type InboxRow, readInbox } from '../../db/scopes/inbox.ts';
import type { Actor } from '../actor.ts';
import type { CommitSubscriber } from '../commit-subscriber.ts';
import type { DecidedUnit } from '../unit.ts';
import { eventsFrom } from './inbox-events.ts';

export interface HeldInboxOptions {
  readonly db: Db;
  readonly actors: {
    find(key: ViewKey): Actor | undefined;
    mark(actor: Actor): void;
  };
  hasPeers(): boolean;
  /** There is something to commit. */
  wake(): void;
  onError(error: unknown): void;
}

export class HeldInbox implements CommitSubscriber {
  readonly #options: HeldInboxOptions;
  readonly #wanted = new Set<ViewKey>();
  /** Views of which a commit with rows that were read before is on its way. */
  readonly #later = new Set<ViewKey>();
  #isReading = false;

  constructor(options: HeldInboxOptions) {
    this.#options = options;
  }

  /** Rows have come for views. */
  heard(keys: readonly ViewKey[]): void {
    for (const key of keys) if (this.#held(key) !== null) this.#wanted.add(key);
    if (this.#wanted.size > 0 && !this.#isReading) void this.#read();
  }

  /** A commit here may have left rows for a view that this process holds too, and that was busy. */
  committed(units: readonly DecidedUnit[]): void {
    const left = units.flatMap(({ outbox }) => outbox ?? []).map(({ key }) => key);
    if (left.length > 0 && this.#options.hasPeers()) this.heard(left);
    if (this.#later.size > 0)
      this.heard(units.flatMap(({ actor: { key } }) => (this.#later.delete(key) ? key : [])));
  }

  async #read(): Promise<void> {
    const { db, wake, onError } = this.#options;
    this.#isReading = true;
    try {
      while (this.#wanted.size > 0) {
        const keys = [...this.#wanted];
        this.#wanted.clear();
        const rows = Map.groupBy(await readInbox(db, keys), ({ key }) => key);
        for (const [key, own] of rows) this.#hand(key, own);
        wake();
      }
    } catch (error) {
      onError(error);
    } finally {
      this.#isReading = false;
    }
  }

  #hand(key: ViewKey, rows: readonly InboxRow[]): void {
    const actor = this.#held(key);
    if (actor === null || !rows.every(isOfScope)) return;
    if (actor.hasTakenNews) {
      this.#later.add(key);
      return;
    }
    const events = eventsFrom(actor.loaded!.view, rows, new Map());
    actor.hear({ ids: rows.map(({ id }) => id), events, isLocked: false });
    this.#options.actors.mark(actor);
  }

  /** Returns the actor of a view that this process holds and that goes on; null: another one may. */
  #held(key: ViewKey): Actor | null {
    const actor = this.#options.actors.find(key);
    if (actor === undefined || actor.loaded === null) return null;
    return isFinalExecution(actor.loaded.view.status) ? null : actor;
  }
}

function isOfScope({ event }: InboxRow): boolean {
  return 'undone' in event || 'run' in event;
}
