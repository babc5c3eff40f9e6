/**
 * Durations and sizes among a step's parameters: their schemas, and how they are read.
 *
 * An expression can yield anything, so a value that passed the publish check is read again when the step runs.
 */

import type { ParamFault } from '../core/step-type.ts';
import {
  DURATION_ACCEPTED,
  DURATION_EXAMPLES,
  DURATION_PATTERN,
  parseDuration,
} from '../core/time/duration.ts';
import { StepFailure } from './step-type.ts';

/** A hundred years: longer than any wait, and within what every clock can add. */
const LONGEST_MS = 100 * 365 * 86_400_000;
const BYTES_OF: Readonly<Record<string, number>> = { '': 1, b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30 };
const SIZE = /^(\d{1,15})\s*(b|kb|mb|gb)?$/i;

/** Schema of a duration; `least` is in milliseconds and is checked for numbers only. */
export function durationSchema(description: string, least: number) {
  return {
    description,
    anyOf: [
      { type: 'integer', minimum: least, maximum: LONGEST_MS },
      { type: 'string', pattern: DURATION_PATTERN, examples: DURATION_EXAMPLES },
    ],
  };
}

/** Schema of a size in bytes. */
export function sizeSchema(description: string) {
  return {
    description,
    anyOf: [
      { type: 'integer', minimum: 1 },
      {
        type: 'string',
        pattern: '^\\s*\\d{1,15}\\s*([bB]|[kKmMgG][bB])?\\s*$',
        examples: ['512kb', '32mb'],
      },
    ],
  };
}

/** Milliseconds; throws StepFailure `invalid_params` that names the parameter. */
export function durationOf(value: string | number, name: string, least: number): number {
  const ms = parseDuration(value);
  if (ms !== null && ms >= least && ms <= LONGEST_MS) return ms;
  throw new StepFailure(
    'invalid_params',
    `${name} is ${JSON.stringify(value)}: it takes ${DURATION_ACCEPTED}, from ${least} ms to 100 years`,
  );
}

/** The problems of parameters whose reading throws. */
export function faultsOf(reads: Readonly<Record<string, () => unknown>>): ParamFault[] {
  return Object.entries(reads).flatMap(([name, read]) => {
    try {
      read();
      return [];
    } catch (error) {
      return [{ pointer: `/${name}`, message: (error as Error).message }];
    }
  });
}

/** Milliseconds as durationOf reads them; undefined stays as it is. */
export function knownDuration(value: unknown, name: string, least: number): unknown {
  return value === undefined ? undefined : durationOf(value as string | number, name, least);
}

/** Bytes; throws StepFailure `invalid_params` that names the parameter. */
export function bytesOf(value: string | number, name: string): number {
  const match = SIZE.exec(String(value).trim());
  const bytes = match === null ? 0 : Number(match[1]) * BYTES_OF[(match[2] ?? '').toLowerCase()]!;
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes;
  throw new StepFailure(
    'invalid_params',
    `${name} is ${JSON.stringify(value)}: it takes a number of bytes, or a size such as 512kb or 32mb`,
  );
}
