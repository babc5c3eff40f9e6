/**
 * What the consumer takes from: due jobs in the queues, and executions that line up. In which order, and how much of
 * it for the room there is.
 *
 * A look that failed for something in it is followed by smaller ones, until that stands alone and is put off.
 */

import { TIMER_PRIORITY } from '../../core/jobs.ts';
import type { Tx } from '../../db/connection/client.ts';
import { type PickedExecution, pickPending } from '../../db/pending-execution.ts';
import type { ExecutionEngineQueue, FetchedJob } from '../../queue/execution-engine-queue.ts';
import { UNREADABLE_MS } from '../../template/unreadable.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Backlog } from '../backlog.ts';
import type { Dispatcher } from '../dispatcher.ts';

const MAX_JOBS = 500;

export interface JobSourceOptions {
  readonly queue: ExecutionEngineQueue;
  readonly dispatcher: Dispatcher;
  readonly backlog: Pick<Backlog, 'seen'>;
  /** Executions that this engine cannot begin stay in line for others. */
  readonly versions: Pick<TemplateVersions, 'notBegun'>;
}

/** What stood alone in a look that failed. */
export type Culprit =
  | { readonly job: FetchedJob; readonly executionId: null }
  | { readonly job: null; readonly executionId: string };

export class JobSource {
  readonly #queue: ExecutionEngineQueue;
  readonly #dispatcher: Dispatcher;
  readonly #backlog: Pick<Backlog, 'seen'>;
  readonly #versions: Pick<TemplateVersions, 'notBegun'>;
  /** The workspace that was served last: the turn goes on after it. */
  #servedLast: string | null = null;
  /** Jobs, and executions, of one look. */
  #most = MAX_JOBS;
  /** What the last look took. */
  #jobs: readonly FetchedJob[] = [];
  #picked: readonly string[] = [];
  #culprits = 0;
  /** Executions that could not be begun, and until when (of performance.now()) they are left in line. */
  readonly #putOff = new Map<string, number>();
  /** Queues that were found empty stay so until somebody says otherwise. */
  mayHaveJobs = true;

  constructor({ queue, dispatcher, backlog, versions }: JobSourceOptions) {
    this.#queue = queue;
    this.#dispatcher = dispatcher;
    this.#backlog = backlog;
    this.#versions = versions;
  }

  /** A look begins: nothing was taken yet. */
  begin(): void {
    this.#jobs = [];
    this.#picked = [];
  }

  /** Timers whatever else there is, and ready steps as far as there are slots. */
  async fetch(tx: Tx): Promise<FetchedJob[]> {
    if (!this.mayHaveJobs) return [];
    // First: what is said while they are fetched counts.
    this.mayHaveJobs = false;
    const queue = this.#queue;
    const most = this.#most;
    const timers = await queue.fetch(tx, 'WorkflowExecutionQueue', most, TIMER_PRIORITY);
    const wanted = Math.min(this.#dispatcher.spare, this.#isNarrow ? most - timers.length : most);
    const merges = wanted === 0 ? [] : await queue.fetch(tx, 'MergeExecutionQueue', wanted);
    const left = wanted - merges.length;
    const steps = left === 0 ? [] : await queue.fetch(tx, 'StepExecutionQueue', left);
    if (timers.length === most || wanted === 0 || steps.length === left) this.mayHaveJobs = true;
    this.#jobs = [...timers, ...merges, ...steps];
    return [...this.#jobs];
  }

  /** Executions that may begin: ready steps go before them. */
  async pick(tx: Tx, fetchedCount: number): Promise<string[]> {
    const dispatcher = this.#dispatcher;
    const most = this.#isNarrow ? this.#most - fetchedCount : MAX_JOBS;
    const room = Math.min(dispatcher.room - fetchedCount, most);
    if (room <= 0) return this.#isNarrow ? [] : this.#pickUnserved(tx);
    const picked = await this.#pick(tx, room, []);
    this.#servedLast = picked.at(-1)?.workspace ?? null;
    // Who leaves some in line for others does not know from one share that it was the last.
    const isLast = this.#putOff.size === 0 && this.#versions.notBegun.length === 0;
    this.#backlog.seen(isLast ? picked.length === room : picked.length > 0);
    return picked.map(({ id }) => id);
  }

  /** However long the line is, the next slots are for all workspaces in turn: each gets a place in it. */
  async #pickUnserved(tx: Tx): Promise<string[]> {
    const dispatcher = this.#dispatcher;
    const room = Math.min(dispatcher.unservedRoom, MAX_JOBS);
    if (room === 0) return [];
    const picked = await this.#pick(tx, room, dispatcher.servedWorkspaces);
    return picked.map(({ id }) => id);
  }

  async #pick(tx: Tx, limit: number, exceptWorkspaces: readonly string[]): Promise<PickedExecution[]> {
    const now = performance.now();
    for (const [id, until] of this.#putOff) if (until < now) this.#putOff.delete(id);
    const picked = await pickPending(tx, {
      limit,
      after: this.#servedLast,
      exceptWorkspaces,
      exceptTemplates: this.#versions.notBegun,
      exceptExecutions: [...this.#putOff.keys()],
      skipLocked: this.#queue.locksFetched,
    });
    this.#picked = picked.map(({ id }) => id);
    return picked;
  }

  get #isNarrow(): boolean {
    return this.#most < MAX_JOBS;
  }

  /** A look went through: the next one may take more. */
  widen(): void {
    if (this.#jobs.length + this.#picked.length > 0) this.#culprits = 0;
    this.#most = Math.min(MAX_JOBS, this.#most * 2);
  }

  /**
   * A look failed, perhaps for something in it: the next one takes half as much. Returns what stood alone, and is not
   * picked again for a while; undefined: nothing was taken, so that it was no fault of that.
   */
  narrow(): Culprit | null | undefined {
    const count = this.#jobs.length + this.#picked.length;
    if (count === 0) return undefined;
    this.#most = Math.max(1, Math.min(this.#most, count) >> 1);
    if (count > 1) return null;
    this.#culprits += 1;
    const [job] = this.#jobs;
    if (job !== undefined) return { job, executionId: null };
    const executionId = this.#picked[0]!;
    this.putOff(executionId);
    return { job: null, executionId };
  }

  /** What stood alone since a look last went through with something. */
  get culprits(): number {
    return this.#culprits;
  }

  /** The execution, if it was picked just now, is not for a while. */
  putOff(executionId: string): void {
    if (!this.#picked.includes(executionId)) return;
    this.#putOff.set(executionId, performance.now() + UNREADABLE_MS);
  }
}
