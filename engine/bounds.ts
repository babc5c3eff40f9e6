/**
 * Bounds of an engine: the database it may use, the starts it accepts, the executions it retains, the
 * lines it logs.
 */
import type { Config } from '../config/config.ts';
import { createPool } from '../db/connection/client.ts';
import { connectionFailure, withConnectionAdvice } from '../db/connection/connection-limit.ts';
import { placeOf } from '../db/connection/database-url.ts';
import { type DatabaseRoute, routeTo } from '../db/connection/features.ts';
import { checkServer } from '../db/connection/server-check.ts';
import { isConnectionError, isUnavailable } from '../db/connection/session.ts';
import { whenUsable } from '../db/connection/when-usable.ts';
import { countPending } from '../db/execution-queries.ts';
import { Retention } from '../maintenance/retention.ts';
import { StartGate } from '../services/start-gate.ts';
import { createErrorReporter, errorKey, type Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { OutageLog } from '../telemetry/outage-log.ts';
import type { Database } from './database.ts';

/** Interval of log lines about other errors of the database, for each kind. */
const LINE_EVERY_MS = 10_000;
/** Some kilobytes each, and a few seconds of work for the database. */
const MAX_WAITING_STARTS = 20_000;

export interface CheckedDatabase {
  /** Warnings shown by /health. */
  readonly warnings: readonly string[];
  readonly route: DatabaseRoute;
}

/** Checks the database, and the path to it, before any write. @throws Error: unusable */
export async function checkDatabase(
  url: string,
  { databaseBackend: backend, directUrl }: Config,
  log: Log,
): Promise<CheckedDatabase> {
  const look = () => checkServer(url, { backend, directUrl });
  const checked = await whenUsable(look, waitingFor(log));
  const { warnings, isPooled, directUrl: past } = checked;
  for (const warning of warnings) log.warn(warning);
  return { warnings, route: routeTo(checked.url, { backend, isPooled, directUrl: past }) };
}

/** Returns the logger for a database that is unavailable at the start. */
export function waitingFor(log: Log): (error: unknown) => void {
  return (error) => {
    const reason = connectionFailure(error);
    log.warn({ reason }, 'The database cannot be used yet: waiting for it, for a minute at most');
  };
}

export interface DatabaseErrors {
  onError(error: unknown): void;
  /** The database has answered a heartbeat. */
  answered(): void;
  /** A log that limits lines about errors of the database in the same way. */
  readonly sparing: Pick<Log, 'error'>;
}

/** The one place that logs an unavailable database. */
export function databaseErrors(log: Log, url: string): DatabaseErrors {
  const report = createErrorReporter(log, { everyMs: LINE_EVERY_MS });
  const database = placeOf(url);
  const message = 'The database could not be used';
  const away = new OutageLog({ log, message, endMessage: 'The database answers again', database });
  const unanswered = 'A call could not be answered';
  const calls = new OutageLog({ log, message: unanswered, endMessage: null, database });
  const onError = (error: unknown) =>
    isConnectionError(error)
      ? away.failed(withConnectionAdvice(error))
      : report(errorKey(error), error, message, { database });
  const error = (fields: { err?: unknown }, line: string) => {
    const { err: cause, ...more } = fields;
    if (isConnectionError(cause)) calls.failed(withConnectionAdvice(cause), more);
    else if (isUnavailable(cause))
      report(`call:${errorKey(cause)}`, cause, unanswered, { database, ...more });
    else log.error(fields, line);
  };
  const answered = () => {
    away.answered();
    calls.answered();
  };
  return { onError, answered, sparing: { error: error as Log['error'] } };
}

export function createStartGate({ limits }: Config, { apiPool }: Database, metrics: Metrics): StartGate {
  return new StartGate({
    maxBacklog: limits.maxBacklog,
    maxWaiting: MAX_WAITING_STARTS,
    count: (most) => countPending(apiPool, most),
    onRefused: (reason) => metrics.requestsRefused.inc({ reason }),
  });
}

export interface RetentionParts {
  readonly config: Config;
  readonly database: Database;
  readonly engineId: string;
  readonly metrics: Metrics;
  readonly log: Log;
  onError(error: unknown): void;
}

/** Starts removing executions past their retention; the returned function stops that. */
export function startRetention(parts: RetentionParts): () => Promise<void> {
  const { config, database, engineId, metrics, log, onError } = parts;
  const { retentionMs } = config;
  if (retentionMs === null) return async () => {};
  const { route, jobTable } = database;
  const { work } = route;
  const applicationName = `engine/${engineId}/retention`;
  const pool = createPool(work.url, { ...work.session, max: 1, applicationName, byIndex: true, onError });
  const onRemoved = (count: number) => metrics.executionsRemoved.inc(count);
  const onUndeletable = (execution: string, err: unknown) =>
    log.warn({ execution, err }, 'An execution cannot be removed; everything else that is due is');
  const retention = new Retention({
    route,
    engineId,
    pool,
    jobTable,
    retentionMs,
    onRemoved,
    onUndeletable,
    onError,
  });
  retention.start();
  return async () => {
    await retention.close();
    await pool.end();
  };
}
