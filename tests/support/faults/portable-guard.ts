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

const found: string[] = [];
let isInstalled = false;
let guardsQueue = true;

/**
 * Watches every engine of this process from now on.
 * @param backend pg-boss does without as much only for CockroachDB, and is let alone for the others
 * @param onFound hears of a statement before it is refused
 */
export function guardStatements(backend: string, onFound: (violation: string) => void = () => {}): void {
  guardsQueue = backend === 'cockroachdb';
  if (isInstalled) return;
  isInstalled = true;
  const original = pg.Client.prototype.query as (...all: unknown[]) => unknown;
  const guarded = function (this: pg.Client, query: unknown, ...rest: unknown[]): unknown {
    const text = typeof query === 'string' ? query : (query as { text?: string } | null)?.text;
    const what = isOfEngine(this) && text !== undefined ? forbiddenIn(text) : null;
    if (what === null) return original.call(this, query, ...rest);
    const violation = `${what} in portable mode: ${text}`;
    found.push(violation);
    onFound(violation);
    throw new Error(violation);
  };
  pg.Client.prototype.query = guarded as typeof pg.Client.prototype.query;
}

/** @throws Error when an engine of this process has sent such a statement. */
export function assertPortable(): void {
  if (found.length > 0) throw new Error(found.splice(0).join('\n'));
}

function isOfEngine(client: pg.Client): boolean {
  const { connectionParameters } = client as unknown as {
    connectionParameters: { application_name?: string };
  };
  const name = connectionParameters.application_name ?? '';
  // What a test opens itself has no engine's id in its name.
  return OF_ENGINE.test(name) && (guardsQueue || !name.endsWith('/queue'));
}
