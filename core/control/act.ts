/**
 * Acts: what somebody does to an execution by hand, or another program through the API. A plan carries those that it carries
 * out, and they are written in its commit.
 */

export const ACTS = [
  'stop',
  'cancel',
  'pause',
  'resume',
  'retry',
  'fork',
  'migrate',
  'complete',
  'fail',
  'skip',
] as const;
export type ActName = (typeof ACTS)[number];

export interface Act {
  /** Tells this act from all others: whoever got no reply finds out whether it counted. Left out: nobody asks. */
  readonly id?: string;
  readonly act: ActName;
  /** The caller, as the API knows it: the name of a key, the subject of a token, `sql`. Null: not known. */
  readonly by: string | null;
  /** The step that the act is on; left out: the execution. */
  readonly stepId?: string;
  /** What was asked for beyond the act's name; left out: nothing. */
  readonly detail?: object;
}
