/**
 * Sees to it that engines in portable mode send no statement that portable mode promises to do without: every
 * statement of theirs passes here, whoever wrote it, pg-boss included.
 *
 * In a test's own process the statement fails, and so does the test when its engine is stopped; a process of its own
 * ends at once (portable-preload.ts).
 */
import pg from 'pg';

const FORBIDDEN: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['SKIP LOCKED', /\bskip\s+locked\b/i],
  ['an advisory lock', /\bpg_(try_)?advisory_/i],
  ['LISTEN', /^\s*(un)?listen\b/i],
  ['NOTIFY', /^\s*notify\b|\bpg_notify\s*\(/i],
];
const MUTATION = /\b(insert\s+into|update\s+(only\s+)?[\w."]+(\s+(as\s+)?\w+)?\s+set|delete\s+from)\b/gi;

/** pg-boss sweeps its list of instances so on every backend, once a minute; a failure of it is reported and no more. */
const SWEEP_OF_INSTANCES = /^\s*delete from \w+\.instance\s/i;

/** What of it portable mode does without; null: nothing. */
export function forbiddenIn(text: string): string | null {
  if (SWEEP_OF_INSTANCES.test(text)) return null;
  const found = FORBIDDEN.find(([, pattern]) => pattern.test(text));
  if (found !== undefined) return found[0];
  const changesSeveral = /^\s*with\b/i.test(text) && (text.match(MUTATION)?.length ?? 0) > 1;
  return changesSeveral ? 'several mutations in one statement' : null;
}

const OF_ENGINE = /^engine\/([0-9a-f-]{36}\/|migrate$|check$)/;

interface Guard {
  readonly includesQueue: boolean;
  /** Hears of a statement before it is refused. */
  readonly onFound: (violation: string) => void;
}

/** By the name of the database; null: every database. */
const guards = new Map<string | null, Guard>();
const found: string[] = [];
let isInstalled = false;

/**
 * Watches every engine of this process on a database from now on; engines on other databases are let alone.
 * @param backend pg-boss does without as much only for CockroachDB, and is let alone for the others
 * @param database its name; null: every database
 */
export function guardStatements(
  backend: string,
  database: string | null,
  onFound: (violation: string) => void = () => {},
): void {
  guards.set(database, { includesQueue: backend === 'cockroachdb', onFound });
  if (isInstalled) return;
  isInstalled = true;
  const original = pg.Client.prototype.query as (...all: unknown[]) => unknown;
  const guarded = function (this: pg.Client, query: unknown, ...rest: unknown[]): unknown {
    const guard = guardOf(this);
    const text = typeof query === 'string' ? query : (query as { text?: string } | null)?.text;
    const what = guard !== undefined && text !== undefined ? forbiddenIn(text) : null;
    if (what === null) return original.call(this, query, ...rest);
    const violation = `${what} in portable mode: ${text}`;
    found.push(violation);
    guard!.onFound(violation);
    throw new Error(violation);
  };
  pg.Client.prototype.query = guarded as typeof pg.Client.prototype.query;
}

/** @throws Error when a guarded engine of this process has sent such a statement. */
export function assertPortable(): void {
  if (found.length > 0) throw new Error(found.splice(0).join('\n'));
}

/** The guard of a connection; undefined: there is none. */
function guardOf(client: pg.Client): Guard | undefined {
  const { connectionParameters } = client as unknown as {
    connectionParameters: { application_name?: string; database?: string };
  };
  const name = connectionParameters.application_name ?? '';
  const guard = guards.get(connectionParameters.database ?? null) ?? guards.get(null);
  // What a test opens itself has no engine's id in its name.
  if (guard === undefined || !OF_ENGINE.test(name)) return undefined;
  return guard.includesQueue || !name.endsWith('/queue') ? guard : undefined;
}
