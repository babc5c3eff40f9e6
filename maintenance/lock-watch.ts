/**
 * Reports sessions of others that keep commits of this engine waiting for a lock, in the log and for the health of the
 * engine.
 *
 * Nothing is asked while commits go through: the database is asked from the third heartbeat in a row at which a commit
 * under locks was in progress.
 */
import { visibleText } from '../core/text/visible.ts';
import type { Db } from '../db/connection/client.ts';
import { type LockHolder, lockHolders } from '../db/connection/lock-holders.ts';
import type { Log } from '../telemetry/log.ts';

const ROUNDS_BEFORE = 3;
/** A wait for a lock is ended after 5 s and begun again: a holder that is not seen at one look is still reported. */
const ROUNDS_REPORTED = 5;
const LINE_EVERY_MS = 60_000;

export interface LockWatchOptions {
  readonly db: Db;
  readonly engineId: string;
  readonly log: Pick<Log, 'warn'>;
  /** Returns whether a commit under locks is in progress. */
  isWaiting(): boolean;
  /** Returns milliseconds of a monotonic clock. */
  now?(): number;
}

export class LockWatch {
  readonly #options: LockWatchOptions;
  #rounds = 0;
  #found: readonly LockHolder[] = [];
  #foundAt = 0;
  #looking: Promise<void> | null = null;
  /** When each session was logged, of the sessions that hold now. */
  #told = new Map<string, number>();

  constructor(options: LockWatchOptions) {
    this.#options = options;
  }

  /** A sentence for each session that keeps commits waiting. */
  get warnings(): readonly string[] {
    return this.#found.map(sentence);
  }

  /** Records a heartbeat. Resolves when what it looks for is known. */
  async round(): Promise<void> {
    this.#rounds = this.#options.isWaiting() ? this.#rounds + 1 : 0;
    if (this.#rounds === 0) {
      this.#found = [];
      this.#told.clear();
    }
    if (this.#rounds < ROUNDS_BEFORE) return;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { db, engineId } = this.#options;
    // An unreachable database is reported elsewhere.
    const found = await lockHolders(db, engineId).catch(() => []);
    // The commits may have gone through meanwhile.
    if (this.#rounds === 0) return;
    if (found.length > 0) {
      this.#found = found;
      this.#foundAt = this.#rounds;
      for (const holder of found) this.#tell(holder);
    } else if (this.#rounds - this.#foundAt > ROUNDS_REPORTED) this.#found = [];
  }

  #tell(holder: LockHolder): void {
    const now = (this.#options.now ?? performance.now.bind(performance))();
    const key = `${holder.pid} ${holder.since?.getTime()}`;
    if (now - (this.#told.get(key) ?? Number.NEGATIVE_INFINITY) < LINE_EVERY_MS) return;
    this.#told.set(key, now);
    const { pid, application, user, state, since } = holder;
    const fields = { pid, application, user, state, since: since?.toISOString() ?? null };
    this.#options.log.warn(fields, sentence(holder));
  }
}

function sentence({ pid, application, user, state, since }: LockHolder): string {
  if (pid === 0)
    return 'A prepared transaction keeps commits of this engine waiting for a lock: see pg_prepared_xacts, and end it.';
  const begun = since === null ? '' : `, in a transaction since ${since.toISOString()}`;
  const doing = state === null ? '' : `, ${state}`;
  return (
    `The database session ${pid} (application "${visibleText(application)}", user "${visibleText(user)}"${doing}${begun}) ` +
    `keeps commits of this engine waiting for a lock. End its transaction, or: select pg_terminate_backend(${pid});`
  );
}
