/**
 * The measured graphs, and the time that a number of executions takes from the first start to the last end.
 */
import type { Pool } from '../db/connection/client.ts';
import type { Engine } from '../engine/engine.ts';
import { OBSERVED, type Ran, type Workload as WorkloadName } from './subject/protocol.ts';

export interface Workload {
  readonly name: string;
  readonly stepCount: number;
  readonly definition: object;
  /** Of every execution. */
  readonly inputs?: object;
}

type Body = (from: string | null, at: number) => object;

const TINY: Body = () => ({ type: 'noop', with: { ok: true } });

/** 1 KB of JSON, of the kinds real payloads are made of. */
const PAYLOAD = {
  order: 'c1f0a4de-6f0b-4a35-9a55-8f1d1f6a2b10',
  customer: { name: 'Ada Lovelace', email: 'ada@example.com', tags: ['new', 'eu'], active: true },
  lines: Array.from({ length: 8 }, (_, at) => ({ sku: `SKU-${1000 + at}`, quantity: at + 1, price: 19.99 })),
  note: 'x'.repeat(470),
};

/** Reads 1 KB, writes 1 KB, and has a retry policy; `count` is what differs between the expressions. */
function real(count: (source: string) => string): Body {
  return (from) => {
    const source = from === null ? 'input' : `steps.${from}.output`;
    return {
      type: 'noop',
      with: { body: `\${{ ${source}.body }}`, count: `\${{ ${count(source)} }}` },
      retry: { limit: 3, delay: '1s', backoff: 'exponential', maxDelay: '1m' },
    };
  };
}

const NATIVE = real(
  (source) => `${source}.count + ${source}.body.lines.length > 9 ? ${source}.count + 1 : 1`,
);
/** The native subset leaves the call to the sandbox. */
const SANDBOXED = real((source) => `${source}.body.lines.reduce((sum, line) => sum + line.quantity, 0)`);

function step(body: Body, needs: readonly string[] = [], at = 0): object {
  return { ...body(needs[0] ?? null, at), ...(needs.length > 0 ? { needs } : {}) };
}

function singleOf(name: string, body: Body, inputs?: object): Workload {
  return withInputs({ name, stepCount: 1, definition: { name, steps: { s0: step(body) } } }, inputs);
}

function chainOf(name: string, length: number, body: Body, inputs?: object): Workload {
  const steps = Object.fromEntries(
    Array.from({ length }, (_, at) => [`s${at}`, step(body, at === 0 ? [] : [`s${at - 1}`], at)]),
  );
  return withInputs({ name, stepCount: length, definition: { name, steps } }, inputs);
}

export function fanOf(
  width: number,
  body: Body = TINY,
  name = `fan-out of ${width}`,
  inputs?: object,
): Workload {
  const leaves = Array.from({ length: width }, (_, at) => `leaf${at}`);
  const steps = {
    root: step(body),
    ...Object.fromEntries(leaves.map((key, at) => [key, step(body, ['root'], at)])),
    join: step(body, leaves),
  };
  return withInputs(
    { name, stepCount: width + 2, definition: { name: name.replaceAll(' ', '-'), steps } },
    inputs,
  );
}

function withInputs(workload: Workload, inputs: object | undefined): Workload {
  return inputs === undefined ? workload : { ...workload, inputs };
}

export const single: Workload = singleOf('single', TINY);
export const chain: Workload = {
  ...chainOf('chain of 10', 10, TINY),
  definition: { ...chainOf('chain', 10, TINY).definition },
};
export const fan: Workload = fanOf(100);

const REAL_INPUTS = { body: PAYLOAD, count: 0 };

/** By their names in requests over the channel. */
export const WORKLOADS: Readonly<Record<Exclude<WorkloadName, 'lifecycle'>, Workload>> = {
  single,
  chain,
  fan,
  'real-single': singleOf('real-single', NATIVE, REAL_INPUTS),
  'real-chain': chainOf('real-chain', 10, NATIVE, REAL_INPUTS),
  'real-fan': fanOf(100, NATIVE, 'real-fan', REAL_INPUTS),
  'sandbox-chain': chainOf('sandbox-chain', 10, SANDBOXED, REAL_INPUTS),
  sleep: singleOf('sleep', () => ({ type: 'bench.sleep', with: { ms: 50 } })),
};

const CALLER = { workspaceId: null, admin: true };
/** Of one start-many call. */
export const MAX_ITEMS = 1_000;

/** Publishes the workload's template; returns its name. */
export async function publish(engine: Engine, workload: Workload): Promise<string> {
  const { result } = await engine.templates.publish(CALLER, {
    bytes: Buffer.from(JSON.stringify(workload.definition)),
    format: 'json',
  });
  return result.name;
}

/** From the first start to the last end, started through the services of this process. */
export async function timeRun(engine: Engine, workload: Workload, executions: number): Promise<Ran> {
  const template = await publish(engine, workload);
  const item = { template, ...(workload.inputs === undefined ? {} : { inputs: workload.inputs as never }) };
  const begun = performance.now();
  for (let left = executions; left > 0; left -= MAX_ITEMS) {
    const items = Array.from({ length: Math.min(left, MAX_ITEMS) }, () => item);
    await engine.executions.startMany(CALLER, items);
  }
  const observed = await untilIdle(engine.pool);
  return { seconds: (performance.now() - begun) / 1000, observed };
}

/** Steps per second from the first start to the last end. */
export async function throughput(engine: Engine, workload: Workload, executions: number): Promise<number> {
  const { seconds } = await timeRun(engine, workload, executions);
  return (executions * workload.stepCount) / seconds;
}

/** The open executions are an index of their own, so asking is cheap. Returns how often it asked. */
export async function untilIdle(pool: Pool): Promise<number> {
  for (let asked = 1; ; asked++) {
    const { rows } = await pool.query(
      `select exists (select 1 from workflow_executions where status in ('pending', 'running')) as open ${OBSERVED}`,
    );
    if (!rows[0].open) return asked;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
