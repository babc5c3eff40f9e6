/**
 * The protocol between the benchmark and a process it measures: one request at a time over the channel between parent
 * and child.
 *
 * Shared by the engine's process and by the peers' (which may run on Node): nothing is imported here.
 */

export type Workload =
  | 'single'
  | 'chain'
  | 'fan'
  | 'real-single'
  | 'real-chain'
  | 'real-fan'
  | 'sandbox-chain'
  | 'lifecycle'
  | 'sleep';

export interface Description {
  /** Package names and versions. */
  readonly versions: Readonly<Record<string, string>>;
  readonly runtime: string;
  /** One line about the settings, and about those left at their defaults. */
  readonly settings: string;
  /** How workloads are started, unless a benchmark starts them itself; absent: the settings say so. */
  readonly starts?: string;
  /** Of an HTTP API, when it has one. */
  readonly url?: string;
}

export interface Ran {
  /** From the first start to the last end that the caller can see. */
  readonly seconds: number;
  /** Statements that only watched; they are marked with OBSERVED. */
  readonly observed?: number;
  /** Figures of its own, such as the rate of one phase. */
  readonly detail?: Readonly<Record<string, number>>;
}

/** The interface of every measured process. */
export interface Subject {
  describe(): Description | Promise<Description>;
  /** Starts a number of executions of a workload and waits for the last one's end. */
  run(workload: Workload, executions: number): Promise<Ran>;
  /** Milliseconds of one execution after another on an idle engine, until `samples` or `seconds` are reached. */
  latency?(workload: Workload, samples: number, seconds: number): Promise<number[]>;
  /** Frees as much memory as the runtime can. */
  collect?(): Promise<void>;
  stop(): Promise<void>;
}

/** In every statement that only watches, so that it is not counted as the subject's. */
export const OBSERVED = '/* observed */';

export type Request =
  | { id: number; call: 'describe' }
  | { id: number; call: 'stop' }
  | { id: number; call: 'collect' }
  | { id: number; call: 'run'; workload: Workload; executions: number }
  | { id: number; call: 'latency'; workload: Workload; samples: number; seconds: number };

export type Answer = { id: number; value: unknown } | { id: number; error: string };

/** Answers the parent's requests until it says stop or is gone. */
export function serveSubject(open: () => Promise<Subject>): void {
  const opened = open();
  opened.catch(() => {});
  process.on('message', async (request: Request) => {
    const answer = await handle(opened, request).then(
      (value): Answer => ({ id: request.id, value }),
      (error: unknown): Answer => ({ id: request.id, error: describeError(error) }),
    );
    process.send?.(answer, () => {
      if (request.call === 'stop') process.exit(0);
    });
  });
  process.on('disconnect', () => process.exit(0));
}

async function handle(opened: Promise<Subject>, request: Request): Promise<unknown> {
  const subject = await opened;
  if (request.call === 'describe') return subject.describe();
  if (request.call === 'run') return subject.run(request.workload, request.executions);
  if (request.call === 'stop') return subject.stop();
  if (request.call === 'collect') return subject.collect?.();
  if (subject.latency === undefined) throw new Error('This subject offers no latency of its own');
  return subject.latency(request.workload, request.samples, request.seconds);
}

function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Runs `once` again and again; the loop of most subjects' `latency`. */
export async function sample(once: () => Promise<void>, samples: number, seconds: number): Promise<number[]> {
  const measured: number[] = [];
  const deadline = performance.now() + seconds * 1000;
  while (measured.length < samples && (measured.length < 5 || performance.now() < deadline)) {
    const begun = performance.now();
    await once();
    measured.push(performance.now() - begun);
  }
  return measured;
}

/** Runs `work` for every number below `count`, at most `limit` at a time. */
export async function inFlight(
  count: number,
  limit: number,
  work: (at: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(limit, count) }, lane));
}
