/**
 * The sources of the consumer: due jobs in the queues, and pending executions. Decides their order, and how many are
 * taken for the free capacity.
 *
 * A look that failed because of something in it is followed by smaller ones, until the culprit stands alone and is
 * delayed.
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
  /** Executions that this engine cannot begin are left to others. */
  readonly versions: Pick<TemplateVersions, 'notBegun'>;
}

/** The only job or execution in a look that failed. */
export type Culprit =
  | { readonly job: FetchedJob; readonly executionId: null }
  | { readonly job: null; readonly executionId: string };

export class JobSource {
  readonly #queue: ExecutionEngineQueue;
  readonly #dispatcher: Dispatcher;
  readonly #backlog: Pick<Backlog, 'seen'>;
  readonly #versions: Pick<TemplateVersions, 'notBegun'>;
  /** The workspace served last: the turn continues after it. */
  #servedLast: string | null = null;
  /** Most jobs, and most executions, in one look. */
  #most = MAX_JOBS;
  /** Jobs and executions of the last look. */
  #jobs: readonly FetchedJob[] = [];
  #picked: readonly string[] = [];
  #culprits = 0;
  /** Executions that could not be begun, and until when (of performance.now()) they are skipped. */
  readonly #putOff = new Map<string, number>();
  /** False: the queues were found empty, and no new job has been reported since. */
  mayHaveJobs = true;

  constructor({ queue, dispatcher, backlog, versions }: JobSourceOptions) {
    this.#queue = queue;
    this.#dispatcher = dispatcher;
    this.#backlog = backlog;
    this.#versions = versions;
  }

  /** Begins a look with nothing taken yet. */
  begin(): void {
    this.#jobs = [];
    this.#picked = [];
  }

  /** Fetches all due timers, and ready steps up to the free capacity. */
  async fetch(tx: Tx): Promise<FetchedJob[]> {
    if (!this.mayHaveJobs) return [];
    // Cleared before the fetch, so that a report during it is kept.
    this.mayHaveJobs = false;
    const queue = this.#queue;
    const most = this.#most;
    const timers = await queue.fetch(tx, 'WorkflowExecutionQueue', most, TIMER_PRIORITY);
    const wanted = Math.min(this.#dispatcher.wanted, this.#isNarrow ? most - timers.length : most);
    const merges = wanted === 0 ? [] : await queue.fetch(tx, 'MergeExecutionQueue', wanted);
    const left = wanted - merges.length;
    const steps = left === 0 ? [] : await queue.fetch(tx, 'StepExecutionQueue', left);
    this.#dispatcher.looked();
    if (timers.length === most || wanted === 0 || steps.length === left) this.mayHaveJobs = true;
    this.#jobs = [...timers, ...merges, ...steps];
    return [...this.#jobs];
  }

  /** Picks executions that may begin: ready steps have precedence. */
  async pick(tx: Tx, fetchedCount: number): Promise<string[]> {
    const dispatcher = this.#dispatcher;
    const most = this.#isNarrow ? this.#most - fetchedCount : MAX_JOBS;
    const room = Math.min(dispatcher.room - fetchedCount, most);
    if (room <= 0) return this.#isNarrow ? [] : this.#pickUnserved(tx);
    const picked = await this.#pick(tx, room, []);
    this.#servedLast = picked.at(-1)?.workspace ?? null;
    // With some left to other engines, a single share does not show that it was the last.
    const isLast = this.#putOff.size === 0 && this.#versions.notBegun.length === 0;
    this.#backlog.seen(isLast ? picked.length === room : picked.length > 0);
    return picked.map(({ id }) => id);
  }

  /** However long the backlog is, the next places are shared by all workspaces in turn: each gets a place. */
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

  /** A look succeeded: the next one may take more. */
  widen(): void {
    if (this.#jobs.length + this.#picked.length > 0) this.#culprits = 0;
    this.#most = Math.min(MAX_JOBS, this.#most * 2);
  }

  /**
   * A look failed, perhaps because of something in it: the next one takes half as much. Returns the culprit that
   * stood alone, which is not picked again for a while; undefined: nothing was taken, so the cause lies elsewhere.
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

  /** Number of culprits since a look last succeeded with something taken. */
  get culprits(): number {
    return this.#culprits;
  }

  /** Delays an execution, if it was just picked. */
  putOff(executionId: string): void {
    if (!this.#picked.includes(executionId)) return;
    this.#putOff.set(executionId, performance.now() + UNREADABLE_MS);
  }
}
