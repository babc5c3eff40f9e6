/**
 * The presence of an engine on an embedded server: a connection of its own that holds a shared advisory lock. An
 * engine takes the exclusive lock before it stops the server.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** An arbitrary number that only this purpose uses ('EENG' and a version). */
const PRESENCE_LOCK = '297515501313';
const POLL_MS = 15;
/** How long connections that are closing may still be listed. */
const GOODBYE_MS = 2_000;

export class Presence {
  readonly #client: pg.Client;

  constructor(url: string) {
    this.#client = new pg.Client({
      connectionString: url,
      application_name: 'execution-engine/presence',
      connectionTimeoutMillis: 5_000,
      // The holder of the exclusive lock is about to stop the server; if it freezes halfway, this wait must end.
      lock_timeout: 10_000,
      keepAlive: true,
    });
    this.#client.on('error', () => {});
  }

  /** Connects and acquires the lock. Returns the server's data directory. */
  async join(): Promise<string> {
    await this.#client.connect();
    await this.#client.query('select pg_advisory_lock_shared($1)', [PRESENCE_LOCK]);
    const { rows } = await this.#client.query<{ data_directory: string }>('show data_directory');
    return rows[0]!.data_directory;
  }

  /** Returns whether the exclusive lock was acquired and no other client is connected. */
  async becomeAlone(): Promise<boolean> {
    const client = this.#client;
    const key = [PRESENCE_LOCK];
    await client.query('select pg_advisory_unlock_shared($1)', key);
    const lock = await client.query<{ alone: boolean }>('select pg_try_advisory_lock($1) as alone', key);
    if (!lock.rows[0]!.alone) return false;
    const deadline = Date.now() + GOODBYE_MS;
    for (;;) {
      const { rows } = await client.query<{ others: number }>(OTHER_CLIENTS);
      if (rows[0]!.others === 0) return true;
      if (Date.now() > deadline) return false;
      await sleep(POLL_MS);
    }
  }

  /** Calls back when the connection is gone, whichever side ended it. */
  onGone(gone: () => void): void {
    this.#client.once('end', gone);
  }

  /** Releases the presence on a server that keeps running. */
  async leave(): Promise<void> {
    await this.#client.end();
  }

  /** Not `end()`: it waits for an answer that a stopping server may never send. */
  hangUp(): void {
    this.#client.connection.stream.destroy();
  }
}

// An engine that waits for the presence lock will find the server stopped, and start it again.
const OTHER_CLIENTS = `
  select count(*)::int as others
  from pg_stat_activity
  where backend_type = 'client backend'
    and pid <> pg_backend_pid()
    and not (application_name = 'execution-engine/presence' and wait_event = 'advisory')`;

/** Returns whether the server refused the password. */
export function isWrongPassword(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === '28P01';
}
