/**
 * The answer of a call with `dry_run: true`: what it would do. Nothing has changed.
 */

export interface DryRunWarning {
  code: string;
  message: string;
  /** A path; null: the execution. */
  step: string | null;
}

/** The answer of a call with `dry_run: true`. Steps are named by path. */
export interface DryRun {
  dry_run: true;
  resets: string[];
  starts: string[];
  cancels: string[];
  skips: string[];
  warnings: DryRunWarning[];
}
