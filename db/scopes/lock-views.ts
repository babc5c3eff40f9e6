/**
 * Locks views, executions and scopes alike, in the one order that all transactions keep: executions by id, then scopes by
 * depth.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { scopeOf, type ViewKey, viewKey } from '../../core/view.ts';
import type { Db } from '../connection/client.ts';
import { existingExecutions, lockExecutions } from '../workflow-execution.ts';
import { lockScopes, readScopes } from './scope.ts';

/** Pauses between checks of locked views: a commit takes some milliseconds. */
const PAUSES_MS = [2, 4, 8, 16];

/** Locks views, waiting for those that are locked elsewhere. */
export async function lockViews(tx: Db, keys: readonly ViewKey[]): Promise<void> {
  const { executions, scopes } = byKind(keys);
  if (executions.length > 0) await lockExecutions(tx, executions);
  await lockScopes(tx, scopes);
}

/**
 * Locks views, except those locked elsewhere for longer than a commit takes. It never waits while it holds a
 * lock in the database, so no order is needed.
 * @returns the keys that are still locked elsewhere
 */
export async function lockSoon(tx: Db, keys: readonly ViewKey[]): Promise<ReadonlySet<ViewKey>> {
  let left = await stillLocked(tx, keys);
  for (const pauseMs of PAUSES_MS) {
    if (left.size === 0) break;
    await delay(pauseMs);
    left = await stillLocked(tx, [...left]);
  }
  return left;
}

async function stillLocked(tx: Db, keys: readonly ViewKey[]): Promise<ReadonlySet<ViewKey>> {
  const { executions, scopes } = byKind(keys);
  const free = new Set<ViewKey>((await lockExecutions(tx, executions, true)).map(({ id }) => id));
  for (const scope of await lockScopes(tx, scopes, true)) free.add(viewKey(scope.executionId, scope));
  const left = byKind(keys.filter((key) => !free.has(key)));
  const there = await readScopes(tx, left.scopes);
  return new Set([
    ...(await existingExecutions(tx, left.executions)),
    ...there.map((scope) => viewKey(scope.executionId, scope)),
  ]);
}

function byKind(keys: readonly ViewKey[]) {
  return {
    executions: keys.filter((key) => scopeOf(key) === null),
    scopes: keys.flatMap((key) => scopeOf(key) ?? []),
  };
}
