/**
 * The one error of this folder: the failure of an expression or a script.
 *
 * Codes:
 * - expression_failed: the expression threw, or read a property of null or undefined. Never retried.
 * - expression_timeout: it did not answer within its time.
 * - script_failed, script_timeout, script_out_of_memory: the same for scripts.
 * - secret_missing, variable_missing: the expression read an unknown name of `secrets` or `vars`.
 * - output_not_storable: the result is larger or deeper than a result may be.
 * - aborted: the caller's signal, or the sandbox was closed.
 * - sandbox_unavailable: the machine could not start a sandbox process; the only one worth a retry.
 */
import { cutText } from '../core/text/cut.ts';

export type ExpressionErrorCode =
  | 'expression_failed'
  | 'expression_timeout'
  | 'script_failed'
  | 'script_timeout'
  | 'script_out_of_memory'
  | 'secret_missing'
  | 'variable_missing'
  | 'output_not_storable'
  | 'aborted'
  | 'sandbox_unavailable';

export interface ExpressionErrorOptions {
  /** Name of the JavaScript error that was thrown inside, e.g. `TypeError`. */
  errorName?: string | null;
  /** Line of the script the error came from, from 1. */
  line?: number | null;
  /** Pointer, below the evaluated value, of the string that holds the expression. */
  pointer?: string | null;
  /** The index of the source that failed, among those of one call. */
  sourceIndex?: number | null;
  cause?: unknown;
}

export class ExpressionError extends Error {
  readonly code: ExpressionErrorCode;
  readonly errorName: string | null;
  readonly line: number | null;
  readonly pointer: string | null;
  readonly sourceIndex: number | null;

  constructor(code: ExpressionErrorCode, message: string, options: ExpressionErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ExpressionError';
    this.code = code;
    this.errorName = options.errorName ?? null;
    this.line = options.line ?? null;
    this.pointer = options.pointer ?? null;
    this.sourceIndex = options.sourceIndex ?? null;
  }
}

/** The source as messages quote it: one line, cut where it is long. */
export function quoteSource(source: string): string {
  const line = source.trim().replaceAll(/\s+/g, ' ');
  return cutText(line, 88);
}
