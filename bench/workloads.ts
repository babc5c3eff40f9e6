/**
 * The graphs that are measured, and how long a number of executions of one takes from the first start to the last end.
 */
import type { Engine } from '../engine.ts';

export interface Workload {
  readonly name: string;
  readonly stepCount: number;
  readonly definition: object;
}

const noop = (needs: string[] = []) => ({
  type: 'noop',
  ...(needs.length > 0 ? { needs } : {}),
  with: { ok: true },
});

export const single: Workload = {
  name: 'single',
  stepCount: 1,
  definition: { name: 'single', steps: { s0: noop() } },
};

export const chain: Workload = {
  name: 'chain of 10',
  stepCount: 10,
  definition: {
    name: 'chain',
    steps: Object.fromEntries(
      Array.from({ length: 10 }, (_, at) => [`s${at}`, noop(at === 0 ? [] : [`s${at - 1}`])]),
    ),
  },
};

export const fan: Workload = fanOf(100);

export function fanOf(width: number): Workload {
  const leaves = Array.from({ length: width }, (_, at) => `leaf${at}`);
  return {
    name: `fan-out of ${width}`,
    stepCount: width + 2,
    definition: {
      name: `fan-${width}`,
      steps: {
        root: noop(),
        ...Object.fromEntries(leaves.map((key) => [key, noop(['root'])])),
        join: noop(leaves),
      },
    },
  };
}

const CALLER = { workspaceId: null, admin: true };
const MOST_ITEMS = 1_000;

/** Steps per second from the first start to the last end. */
export async function throughput(engine: Engine, workload: Workload, executions: number): Promise<number> {
  const { result } = await engine.templates.publish(CALLER, workload.definition);
  const begun = performance.now();
  for (let left = executions; left > 0; left -= MOST_ITEMS) {
    const items = Array.from({ length: Math.min(left, MOST_ITEMS) }, () => ({ template: result.name }));
    await engine.executions.startMany(CALLER, items);
  }
  await untilIdle(engine);
  const seconds = (performance.now() - begun) / 1000;
  return (executions * workload.stepCount) / seconds;
}

/** The open executions are an index of their own, so asking is cheap. */
async function untilIdle(engine: Engine): Promise<void> {
  for (;;) {
    const { rows } = await engine.pool.query(
      `select exists (select 1 from workflow_executions where status in ('pending', 'running')) as open`,
    );
    if (!rows[0].open) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Milliseconds from the start call over HTTP to the answer of a long poll that says completed. */
export async function latencies(engine: Engine, workload: Workload, samples: number): Promise<number[]> {
  const { result } = await engine.templates.publish(CALLER, workload.definition);
  const measured: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    const begun = performance.now();
    const started = await fetch(`${engine.url}/api/v1/execution/start`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ template: result.name }),
    });
    const { execution_id } = (await started.json()) as { execution_id: string };
    const answer = await fetch(`${engine.url}/api/v1/execution/status?execution_id=${execution_id}&wait=30s`);
    const { status } = (await answer.json()) as { status: string };
    if (status !== 'completed') throw new Error(`An execution ended ${status}`);
    measured.push(performance.now() - begun);
  }
  return measured;
}
