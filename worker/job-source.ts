/**
 * What the consumer takes from: due jobs in the queues, and executions that line up. In which order, and how much of
 * it for the room there is.
 */
import type { Tx } from '../db/client.ts';
import { pickPending } from '../db/pending-execution.ts';
import type { ExecutionEngineQueue, FetchedJob } from '../queue/execution-engine-queue.ts';
import { TIMER_PRIORITY } from '../services/commit-unit.ts';
import type { Dispatcher } from './dispatcher.ts';

const MOST_JOBS = 500;

export class JobSource {
  readonly #queue: ExecutionEngineQueue;
  readonly #dispatcher: Dispatcher;
  /** The workspace that was served last: the turn goes on after it. */
  #servedLast: string | null = null;
  /** Queues that were found empty stay so until somebody says otherwise. */
  mayHaveJobs = true;

  constructor(queue: ExecutionEngineQueue, dispatcher: Dispatcher) {
    this.#queue = queue;
    this.#dispatcher = dispatcher;
  }

  /** Timers whatever else there is, and ready steps as far as there are slots. */
  async fetch(tx: Tx): Promise<FetchedJob[]> {
    if (!this.mayHaveJobs) return [];
    // First: what is said while they are fetched counts.
    this.mayHaveJobs = false;
    const dispatcher = this.#dispatcher;
    const queue = this.#queue;
    const wanted = Math.min(dispatcher.spare, MOST_JOBS);
    const timers = await queue.fetch(tx, 'WorkflowExecutionQueue', MOST_JOBS, TIMER_PRIORITY);
    const merges = wanted === 0 ? [] : await queue.fetch(tx, 'MergeExecutionQueue', wanted);
    const left = wanted - merges.length;
    const steps = left === 0 ? [] : await queue.fetch(tx, 'StepExecutionQueue', left);
    if (timers.length === MOST_JOBS || wanted === 0 || steps.length === left) this.mayHaveJobs = true;
    return [...timers, ...merges, ...steps];
  }

  /** Executions that may begin: ready steps go before them. */
  async pick(tx: Tx, fetchedCount: number): Promise<string[]> {
    const dispatcher = this.#dispatcher;
    const room = Math.min(dispatcher.room - fetchedCount, MOST_JOBS);
    if (room <= 0) return this.#pickUnserved(tx);
    const picked = await pickPending(tx, room, this.#servedLast, [], this.#queue.locksFetched);
    this.#servedLast = picked.at(-1)?.workspace ?? null;
    dispatcher.backlog = picked.length === room;
    return picked.map(({ id }) => id);
  }

  /** However long the line is, the next slots are for all workspaces in turn: each gets a place in it. */
  async #pickUnserved(tx: Tx): Promise<string[]> {
    const dispatcher = this.#dispatcher;
    const room = Math.min(dispatcher.unservedRoom, MOST_JOBS);
    if (room === 0) return [];
    const served = dispatcher.servedWorkspaces;
    const picked = await pickPending(tx, room, this.#servedLast, served, this.#queue.locksFetched);
    return picked.map(({ id }) => id);
  }
}
