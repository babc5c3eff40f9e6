/**
 * Sends the end of an execution to its `callback_url`: at least once, retried for about a day.
 *
 * The job is written by the commit that ends the execution. An engine that takes it delays it for as long as a call
 * may take, calls, and then deletes it or delays it further: when the process dies in between, the job comes back.
 *
 * Invariant: the job is deleted only after a 2xx answer, or when the callback is given up, which is logged once. The first
 * failed call of a receiver is logged at once.
 */

import type { Job, JobData } from '../../core/jobs.ts';
import type { Pool } from '../../db/connection/client.ts';
import { transact } from '../../db/connection/transact.ts';
import { type ExecutionCallback, readCallback, readCallbackRoute } from '../../db/execution-callback.ts';
import { within } from '../../process/within.ts';
import type { ExecutionEngineQueue, FetchedJob } from '../../queue/execution-engine-queue.ts';
import type { HttpClient } from '../../steps/http/client.ts';
import { StepFailure } from '../../steps/step-type.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { FailureLines } from './failure-lines.ts';
import { CallbackLines } from './lines.ts';

export interface CallbackSenderOptions {
  readonly pool: Pool;
  readonly queue: ExecutionEngineQueue;
  readonly client: HttpClient;
  readonly metrics: Pick<Metrics, 'callbackCalls'>;
  readonly log: Log;
  onError(error: unknown): void;
}

const TIMEOUT_MS = 15_000;
/** Most callbacks in progress or waiting for a place. */
const MAX_IN_HAND = 256;
/** How long a callback waits for each of its places. */
const WAIT_MS = 4_000;
/** Longer than a call with the work before and after it. */
const LEASE_MS = 30_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 3_600_000;
/** With pauses of 1 s, 2 s, 4 s and so on up to an hour: a little over a day. */
const MAX_ATTEMPTS = 36;
/** A retry would fail in the same way. */
const HOPELESS = 'http_invalid_request';
/** Another engine may be allowed to call it. */
const BLOCKED = 'http_blocked_address';
/** Time left for calls in progress when the engine stops, and then for putting back their jobs. */
const CLOSE_MS = 2_000;

type CallbackData = Extract<JobData, { kind: 'callback' }>;

export class CallbackSender {
  readonly #options: CallbackSenderOptions;
  readonly #lines = new CallbackLines(WAIT_MS);
  readonly #failures = new FailureLines();
  readonly #calls = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  #isOpen = true;

  constructor(options: CallbackSenderOptions) {
    this.#options = options;
  }

  /**
   * Separates the jobs that can be called for now. All of them must be put back as `back` in the transaction that
   * fetched them; the calls may begin when it is committed.
   */
  lease(jobs: readonly FetchedJob[]): { back: Job[]; leased: FetchedJob[] } {
    const room = this.#isOpen ? Math.max(0, MAX_IN_HAND - this.#calls.size) : 0;
    const leased = jobs.slice(0, room);
    const back = jobs.map((job, at) =>
      at < room
        ? again(job, LEASE_MS, attemptOf(job) + 1)
        : again(job, this.#lines.pauseMs(), attemptOf(job)),
    );
    return { back, leased };
  }

  /** Begins the calls of leased jobs. */
  send(leased: readonly FetchedJob[]): void {
    for (const job of leased) {
      const call = this.#deliver(job)
        // The end of the lease brings the job back.
        .catch(this.#options.onError)
        .finally(() => this.#calls.delete(call));
      this.#calls.add(call);
    }
  }

  /**
   * Lets calls in progress finish for a moment; the others go back into the queue. Returns in time whatever the
   * receivers and the database do: the end of its lease brings a job back that is left.
   */
  async close(): Promise<void> {
    this.#isOpen = false;
    this.#lines.close();
    const calls = Promise.all(this.#calls);
    await within(CLOSE_MS, calls);
    this.#closing.abort();
    await within(CLOSE_MS, calls);
  }

  async #deliver(job: FetchedJob): Promise<void> {
    const attempt = attemptOf(job);
    const { execution_id: id } = job.data as CallbackData;
    const route = await readCallbackRoute(this.#options.pool, id);
    const called = route === null ? { result: null } : await this.#lines.call(route, () => this.#call(id));
    // A wait without a call does not count as an attempt.
    if (typeof called === 'number')
      return this.#replace(job, again(job, this.#isOpen ? called : null, attempt));
    const { result: reason } = called;
    if (reason === null) return this.#replace(job, null);
    // A call that was cut off by a stop does not count as an attempt.
    if (this.#closing.signal.aborted) return this.#replace(job, again(job, null, attempt));
    const code = reason instanceof StepFailure ? reason.code : null;
    const { callbackCalls } = this.#options.metrics;
    if (attempt >= MAX_ATTEMPTS || code === HOPELESS) {
      callbackCalls.inc({ result: 'given_up' });
      await this.#tell(job, reason, 'A callback was given up');
      return this.#replace(job, null);
    }
    callbackCalls.inc({ result: 'failed' });
    const retryInMs = Math.round(pauseMs(attempt));
    const failures = this.#failures.told(receiverOf(route!.url));
    if (failures > 0)
      await this.#tell(
        job,
        reason,
        code === BLOCKED
          ? 'A callback must not be called from here; it is tried again, by any engine'
          : 'A callback failed; it is tried again',
        { retry_in_ms: retryInMs, failures },
      );
    return this.#replace(job, again(job, retryInMs, attempt + 1));
  }

  /** Logs the receiver's host only: path and query may hold a token. */
  async #tell(job: FetchedJob, { message: reason }: Error, line: string, more: object = {}): Promise<void> {
    const { execution_id: execution, attempt } = job.data as CallbackData;
    const callback = await readCallback(this.#options.pool, execution);
    if (callback === null) return;
    const { template, version, url } = callback;
    const receiver = receiverOf(url);
    this.#options.log.warn({ execution, template, version, receiver, attempt, reason, ...more }, line);
  }

  /** Returns null when the receiver has accepted it, or there is nothing to send; otherwise the error. */
  async #call(executionId: string): Promise<Error | null> {
    const callback = await readCallback(this.#options.pool, executionId);
    if (callback === null) return null;
    try {
      const { status } = await this.#options.client({
        method: 'POST',
        url: callback.url,
        headers: {
          'content-type': 'application/json',
          'idempotency-key': callback.id,
          accept: '*/*',
          'user-agent': 'execution-engine',
        },
        body: bodyOf(callback),
        timeoutMs: TIMEOUT_MS,
        maxRedirects: 0,
        signal: this.#closing.signal,
      });
      if (status < 200 || status > 299) return new Error(`the answer was ${status}`);
      this.#options.metrics.callbackCalls.inc({ result: 'delivered' });
      return null;
    } catch (error) {
      return error as Error;
    }
  }

  async #replace(job: FetchedJob, by: Job | null): Promise<void> {
    const { pool, queue } = this.#options;
    await transact(pool, (tx) => queue.replace(tx, job, by), this.#closing.signal);
  }
}

function bodyOf({
  id,
  status,
  template,
  version,
  outputs,
  error,
  tags,
  completedAt,
}: ExecutionCallback): string {
  const head = JSON.stringify({ execution_id: id, status, template, version }).slice(0, -1);
  const tail = JSON.stringify({ tags, completed_at: completedAt.toISOString() }).slice(1);
  return `${head},"outputs":${outputs},"error":${error},${tail}`;
}

/** Returns the host and port. */
function receiverOf(url: string): string {
  return URL.parse(url)?.host ?? '';
}

function attemptOf({ data }: FetchedJob): number {
  return (data as CallbackData).attempt;
}

function again({ queue, id, data, priority }: FetchedJob, startAfter: number | null, attempt: number): Job {
  return { queue, id, data: { ...(data as CallbackData), attempt }, priority, startAfter };
}

/** Jitter of a quarter in both directions. */
function pauseMs(attempt: number): number {
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
  return pause * (0.75 + Math.random() / 2);
}
