/**
 * The log: one JSON object per line on stdout, or lines for people.
 *
 * Not here: what is logged. An error is logged once, where it is handled, with its cause: `log.error({ err }, …)`.
 *
 * Invariant 1: no configured secret leaves through the log, in whatever field, message or stack it sits.
 * Invariant 2: an error that repeats cannot fill the disk: see createErrorReporter.
 */
import pino, { type DestinationStream, type Logger } from 'pino';
import { prettyFactory } from 'pino-pretty';

const MASK = '***';
const MAX_REPORTED_KEYS = 1_000;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  level: LogLevel;
  /** Lines for people instead of JSON. */
  pretty: boolean;
  /** Values that are masked wherever they occur; short ones would maim other text, config refuses those. */
  secrets: readonly string[];
  /** Where lines go; default stdout. */
  destination?: DestinationStream | undefined;
}

/** A pino logger. `err` fields are written with their stack and causes. */
export function createLog({
  level,
  pretty: forPeople,
  secrets,
  destination = process.stdout,
}: LogOptions): Logger {
  // In this process, not in a worker thread: what is logged right before an exit is on its way already.
  const format = forPeople ? prettyFactory({ colorize: hasColours(destination) }) : (line: string) => line;
  const mask = createMask(secrets);
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: pino.stdSerializers.errWithCause, error: pino.stdSerializers.errWithCause },
    },
    { write: (line: string) => void destination.write(format(mask(line)) ?? '') },
  );
}

function hasColours(destination: DestinationStream): boolean {
  return (destination as { hasColors?: () => boolean }).hasColors?.() === true;
}

/** Replaces every secret in a JSON line: as it is, as a JSON string writes it, and as a URL does. */
export function createMask(secrets: readonly string[]): (line: string) => string {
  const spellings = new Set(secrets.filter((secret) => secret !== '').flatMap(spellingsOf));
  // The longest first, or the rest of a secret that begins with another one would stay.
  const ordered = [...spellings].sort((a, b) => b.length - a.length);
  return (line) => ordered.reduce((text, secret) => text.replaceAll(secret, MASK), line);
}

function spellingsOf(secret: string): string[] {
  const quoted = JSON.stringify(secret).slice(1, -1);
  const quotedTwice = JSON.stringify(quoted).slice(1, -1);
  return [secret, quoted, quotedTwice, encodeURIComponent(secret.toWellFormed())];
}

export interface ErrorReporterOptions {
  /** A key is written once in this time. */
  everyMs: number;
  /** Milliseconds of a clock that never goes back. */
  now: () => number;
}

/**
 * Writes the first error of a key, then at most one per period, with the number of those left out as `repeated`.
 * For loops that meet the same failure again and again, such as a database that is away.
 */
export function createErrorReporter(
  log: Pick<Logger, 'error'>,
  { everyMs, now }: ErrorReporterOptions,
): (key: string, err: unknown, message: string, fields?: Record<string, unknown>) => void {
  const seen = new Map<string, { writtenAt: number; repeated: number }>();
  return (key, err, message, fields = {}) => {
    const before = seen.get(key);
    if (before !== undefined && now() - before.writtenAt < everyMs) {
      before.repeated += 1;
      return;
    }
    if (before === undefined && seen.size >= MAX_REPORTED_KEYS) seen.clear();
    seen.set(key, { writtenAt: now(), repeated: 0 });
    log.error({ ...fields, err, ...(before?.repeated ? { repeated: before.repeated } : {}) }, message);
  };
}

export type Log = Logger;
