/**
 * The steps that a fork takes over.
 */

/** A step that the fork begins with, final from the start. */
export interface ReusedStep {
  readonly slot: number;
  readonly status: 'completed' | 'failed' | 'skipped';
  readonly routes: readonly string[] | null;
  /** The step execution that it was; null: its output is given, and the source never finished it. */
  readonly source: { readonly id: string; readonly sequence: number; readonly status: string } | null;
  /** Null: that of the source. */
  readonly output: { readonly json: string } | null;
}
