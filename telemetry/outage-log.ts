/**
 * Tells an outage of the database in few lines: its begin, one line every 10 s while it lasts, and its end.
 *
 * One outage shows as many errors: refused connections, missing answers, sessions that were ended. They are of one
 * kind here, and share one throttle.
 *
 * Invariant: an outage whose begin was logged has a line at its end, and no line about it comes after that. There are at
 * most two lines every 10 s.
 */
import { errorKey, type Log } from './log.ts';

const LINE_EVERY_MS = 10_000;

export interface OutageLogOptions {
  readonly log: Pick<Log, 'error' | 'info'>;
  /** Said of a failure. */
  readonly message: string;
  /** Said of the end, before `, after N s`; null: nothing. */
  readonly endMessage: string | null;
  /** Host, port and name of the database, without its password. */
  readonly database: string;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
  /** Calls back once, after that many milliseconds; default: a timer that does not keep the process alive. */
  readonly after?: (ms: number, callback: () => void) => void;
}

type Fields = Record<string, unknown>;

interface Outage {
  readonly since: number;
  /** Whether a line has told of it. */
  isTold: boolean;
  /** Failures without a line. */
  untold: number;
  last: { readonly error: unknown; readonly fields: Fields };
  /** The first answer after the last failure. */
  answeredAt: number | null;
}

export class OutageLog {
  readonly #options: OutageLogOptions;
  readonly #now: () => number;
  #outage: Outage | null = null;
  #lineAt = Number.NEGATIVE_INFINITY;
  #isDue = false;

  constructor(options: OutageLogOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  failed(error: unknown, fields: Fields = {}): void {
    const last = { error, fields };
    this.#outage ??= { since: this.#now(), isTold: false, untold: 0, last, answeredAt: null };
    this.#outage.untold += 1;
    this.#outage.last = last;
    this.#outage.answeredAt = null;
    const waitMs = this.#lineAt + LINE_EVERY_MS - this.#now();
    if (waitMs <= 0) this.#tell(this.#outage);
    else this.#tellLater(waitMs);
  }

  /** The database has answered. The outage is over when it does so twice without a failure between. */
  answered(): void {
    const outage = this.#outage;
    if (outage === null) return;
    if (outage.answeredAt === null) {
      outage.answeredAt = this.#now();
      return;
    }
    this.#outage = null;
    const { log, endMessage, database } = this.#options;
    if (!outage.isTold || endMessage === null) return;
    const seconds = ((outage.answeredAt - outage.since) / 1_000).toFixed(1);
    const repeated = outage.untold === 0 ? {} : { repeated: outage.untold };
    log.info({ database, ...repeated }, `${endMessage}, after ${seconds} s`);
  }

  #tellLater(ms: number): void {
    if (this.#isDue) return;
    this.#isDue = true;
    (this.#options.after ?? afterTimer)(ms, () => {
      this.#isDue = false;
      if (this.#outage !== null && this.#outage.untold > 0) this.#tell(this.#outage);
    });
  }

  #tell(outage: Outage): void {
    const { log, message, database } = this.#options;
    const { error, fields } = outage.last;
    const { code, message: reason } = (error ?? {}) as { code?: unknown; message?: unknown };
    const said = {
      ...fields,
      database,
      ...(typeof code === 'string' ? { code } : {}),
      reason: String(reason ?? errorKey(error)),
    };
    if (outage.isTold) {
      const times = `${message}: ${outage.untold} times more in the last ${LINE_EVERY_MS / 1_000} s`;
      log.error({ ...said, repeated: outage.untold }, times);
    } else log.error(said, message);
    outage.isTold = true;
    outage.untold = 0;
    this.#lineAt = this.#now();
  }
}

function afterTimer(ms: number, callback: () => void): void {
  setTimeout(callback, ms).unref();
}
