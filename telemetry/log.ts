/**
 * The log: one JSON object per line on stdout, or lines for people.
 *
 * Not here: the choice of what to log. An error is logged once, where it is handled, with its cause: `log.error({ err
 * }, …)`.
 *
 * Invariant 1: no configured secret and no password of a URL leaves through the log, in any field, message or stack,
 * and every line has a bounded length (log-line.ts).
 * Invariant 2: an error that repeats cannot fill the disk: see createErrorReporter.
 */
import pino, { type DestinationStream, type Logger } from 'pino';
import { createMasker } from '../core/masking/masker.ts';
import { errorName } from '../core/text/error-name.ts';
import { onDemand } from '../process/module-on-demand.ts';
import { shownLine, writtenLine } from './log-line.ts';

const pinoPretty = onDemand<typeof import('pino-pretty')>('pino-pretty');

const MAX_REPORTED_KEYS = 20;
const OTHERS = 'others';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  level: LogLevel;
  /** Lines for people instead of JSON. */
  pretty: boolean;
  /** Values that are masked in every spelling. Short ones would mask unrelated text; config refuses those. */
  secrets: readonly string[];
  /** Target of the lines; default stdout. */
  destination?: DestinationStream | undefined;
}

/** Returns a pino logger. `err` fields are written with their stack and causes. */
export function createLog({
  level,
  pretty: forPeople,
  secrets,
  destination = process.stdout,
}: LogOptions): Logger {
  const masker = createMasker(secrets);
  // In this process, not in a worker thread: lines logged right before an exit are then not lost.
  const pretty = forPeople ? pinoPretty().prettyFactory({ colorize: hasColours(destination) }) : null;
  const format = (line: string) =>
    pretty === null ? writtenLine(line, masker) : (pretty(shownLine(line, masker)) ?? '');
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: writable, error: writable },
    },
    { write: (line: string) => void destination.write(format(line)) },
  );
}

/**
 * Returns an error as it is logged: with its stack and causes, without the objects attached to it. A database
 * driver's client is such an object, and holds the key by which its statements can be cancelled.
 */
function writable(error: Error): unknown {
  const written = withoutObjects(pino.stdSerializers.errWithCause(error));
  // pino has the name of the class, which an error from another process has lost.
  return error instanceof Error ? { ...(written as object), type: errorName(error) } : written;
}

const CAUSES = ['cause', 'aggregateErrors'];

function withoutObjects(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutObjects);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).flatMap(([name, field]) => {
    if (CAUSES.includes(name)) return [[name, withoutObjects(field)]];
    return typeof field === 'object' && field !== null && !isPlain(field) ? [] : [[name, field]];
  });
  return Object.fromEntries(kept);
}

/** Returns whether a value is JSON data, such as the details of a failure. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === Object.prototype || prototype === null;
}

function hasColours(destination: DestinationStream): boolean {
  return (destination as { hasColors?: () => boolean }).hasColors?.() === true;
}

export interface ErrorReporterOptions {
  /** Milliseconds between lines of one key. */
  everyMs: number;
  /** Calls back once, after that many milliseconds; default: a timer that does not keep the process alive. */
  after?: (ms: number, callback: () => void) => void;
}

export type ErrorReporter = (
  key: string,
  err: unknown,
  message: string,
  fields?: Record<string, unknown>,
) => void;

interface Repetition {
  count: number;
  last: unknown;
}

/**
 * Writes the first error of a key at once and counts those that follow: one line per period says how many there
 * were, until there are none. For failures that repeat, such as an unavailable database.
 * Errors beyond a number of keys are counted together.
 */
export function createErrorReporter(
  log: Pick<Logger, 'error'>,
  { everyMs, after = afterTimer }: ErrorReporterOptions,
): ErrorReporter {
  const repeated = new Map<string, Repetition>();
  const summarise = (key: string, message: string) => {
    const { count, last } = repeated.get(key)!;
    repeated.delete(key);
    if (count === 0) return;
    log.error(
      { err: last, repeated: count },
      `${message}: ${count} times more in the last ${everyMs / 1000} s`,
    );
    watch(key, message);
  };
  const watch = (key: string, message: string) => {
    repeated.set(key, { count: 0, last: null });
    after(everyMs, () => summarise(key, message));
  };
  return (name, err, message, fields = {}) => {
    const key = repeated.has(name) || repeated.size < MAX_REPORTED_KEYS ? name : OTHERS;
    const before = repeated.get(key);
    if (before === undefined) {
      log.error({ ...fields, err }, message);
      return watch(key, message);
    }
    before.count += 1;
    before.last = err;
  };
}

/** Returns the key of equal errors: the code, or the message without its numbers. */
export function errorKey(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return typeof code === 'string' ? code : String(message).replace(/[0-9a-f-]{8,}|\d+/g, '#');
}

function afterTimer(ms: number, callback: () => void): void {
  setTimeout(callback, ms).unref();
}

export type Log = Logger;
