/**
 * A named mutual exclusion for databases without advisory locks: the lock of a row, until the end of the
 * transaction. Callers use an advisory lock where the database has them.
 */
import type { Db } from './client.ts';

const CREATE_TABLE = 'create table if not exists execution_engine_locks (name text primary key)';
const LOCK =
  'insert into execution_engine_locks (name) values ($1) on conflict (name) do update set name = excluded.name';
const ADD = 'insert into execution_engine_locks (name) values ($1) on conflict (name) do nothing';
const TRY = 'select name from execution_engine_locks where name = $1 for update nowait';

/** SQLSTATEs of two concurrent creations of the same object: schema, table, type, a name in the catalogue. */
const MADE_ELSEWHERE = new Set(['42P06', '42P07', '42710', '23505', '40001']);

/** Returns whether a create-if-missing failed because another process created the same object first. */
export function isMadeElsewhere(error: unknown): boolean {
  return MADE_ELSEWHERE.has(String((error as { code?: unknown } | null)?.code));
}

/** Creates the table of the locks; outside a transaction. */
export async function makeLockTable(db: Db): Promise<void> {
  await db.query(CREATE_TABLE).catch((error: unknown) => {
    if (!isMadeElsewhere(error)) throw error;
  });
}

/** Acquires the lock, waiting for it. */
export async function lockRow(tx: Db, name: string): Promise<void> {
  await tx.query(LOCK, [name]);
}

const LOCK_NOT_AVAILABLE = '55P03';

/** Acquires the lock if it is free. False: it is held elsewhere, and the transaction has failed. */
export async function tryLockRow(tx: Db, name: string): Promise<boolean> {
  try {
    await tx.query(ADD, [name]);
    await tx.query(TRY, [name]);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
    return false;
  }
}
