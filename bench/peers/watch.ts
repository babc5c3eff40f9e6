/**
 * Waits for the end of executions by reading the peer's own table, where the peer offers no better way. Its statements
 * are marked, so that they are not counted as the peer's.
 */
import pg from 'pg';
import { OBSERVED } from '../subject/protocol.ts';
import { DATABASE_URL } from './installed.ts';

const POLL_MS = 25;

export class Watch {
  readonly #client = new pg.Client({ connectionString: DATABASE_URL });
  readonly #open: string;
  #observed = 0;

  /** @param open an SQL condition on a table, as in `from t where …`: the rows that are not final yet */
  constructor(open: string) {
    this.#open = open;
  }

  connect(): Promise<unknown> {
    return this.#client.connect();
  }

  /** Resolves when no row is open, with the number of statements that took. */
  async untilNoneOpen(): Promise<number> {
    this.#observed = 0;
    for (;;) {
      this.#observed += 1;
      const { rows } = await this.#client.query(`select exists (select 1 ${this.#open}) as open ${OBSERVED}`);
      if (!rows[0].open) return this.#observed;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  close(): Promise<void> {
    return this.#client.end();
  }
}

/** Asks every 5 ms. */
export async function until(isDone: () => Promise<boolean>): Promise<void> {
  while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 5));
}
