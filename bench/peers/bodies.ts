/** The workloads of every peer: the same graphs as the engine's, with empty handlers. */
import type { Workload } from '../subject/protocol.ts';

export const OK = { ok: true };
export const FAN_WIDTH = 100;
export const CHAIN_LENGTH = 10;

export type Graph = 'single' | 'chain' | 'fan';

export function graphOf(workload: Workload): Graph {
  if (workload === 'single' || workload === 'chain' || workload === 'fan') return workload;
  throw new Error(`Peers run single, chain and fan, not ${workload}`);
}

export async function noop(): Promise<typeof OK> {
  return OK;
}

/** Runs a graph in an engine of the "workflow is a function" kind; `step` runs one durable step. */
export async function play(
  graph: Graph,
  step: (name: string, body: () => Promise<typeof OK>) => Promise<unknown>,
): Promise<typeof OK> {
  if (graph === 'single') await step('s0', noop);
  if (graph === 'chain') for (let at = 0; at < CHAIN_LENGTH; at++) await step(`s${at}`, noop);
  if (graph === 'fan') {
    await step('root', noop);
    await Promise.all(Array.from({ length: FAN_WIDTH }, (_, at) => step(`leaf${at}`, noop)));
    await step('join', noop);
  }
  return OK;
}
