/**
 * A statement with its values, as passed to a connection.
 */
export interface Statement {
  /** Prepared once per connection under this name; without a name it is planned each time. */
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
}

/** SQLSTATE of the error that `guarded` raises: division_by_zero. */
export const GUARD_FAILED = '22012';

/**
 * Makes a statement that must change a given number of rows fail when it changes another number. The
 * whole transaction fails with it, without an extra round trip. The count is the last parameter.
 *
 * Portable: a failing expression is the only way to raise an error that works on every backend.
 */
export function guarded(text: string, countParameter: number): string {
  return `with changed as (${text} returning 1) select 1 / (count(*) = $${countParameter}::bigint)::integer from changed`;
}

/** Rows have changed since they were read for a decision: its transaction is rolled back, and it is made again. */
export class DecidedTooEarly extends Error {
  readonly code = GUARD_FAILED;

  constructor() {
    super('Rows have changed since they were read for the decision.');
  }
}

/** Returns whether a statement found rows other than those that it was decided on: its transaction was rolled back. */
export function isGuardFailed(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === GUARD_FAILED;
}
