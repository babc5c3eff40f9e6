/**
 * The state of one scope of an execution in columns, by the positions of its graph. Pure.
 */

import { type Graph, isLive } from '../graph.ts';
import type { StepStatus } from '../status.ts';
import { EDGE_DEAD, EDGE_LIVE, resolvesEdges } from '../view.ts';

/** One letter for each status; `.` stands for a step without a row. */
export const STATUS_LETTERS: Readonly<Record<StepStatus, string>> = {
  waiting_inputs: 'i',
  queued: 'q',
  running: 'r',
  waiting: 'w',
  retrying: 't',
  completed: 'c',
  failed: 'f',
  skipped: 's',
  cancelled: 'x',
};
export const NO_ROW = '.';

/** By EDGE_OPEN, EDGE_LIVE and EDGE_DEAD. */
const EDGE_LETTERS = '.ld';

export interface StateStep {
  readonly position: number;
  readonly status: StepStatus;
  readonly attempt: number;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  readonly routes: readonly string[] | null;
  /** The step was cancelled as the loser of a race. */
  readonly lost: boolean;
}

export interface StateColumns {
  readonly status_of: string;
  readonly attempts: readonly number[];
  /** Milliseconds since `t0`; -1: not yet. */
  readonly created: readonly number[];
  readonly started: readonly number[];
  readonly ended: readonly number[];
  readonly edges: string;
}

/** @param steps those that have a row, without compensations */
export function stateColumns(graph: Graph, t0: Date, steps: readonly StateStep[]): StateColumns {
  const { size } = graph;
  const letters = new Array<string>(size).fill(NO_ROW);
  const attempts = new Array<number>(size).fill(0);
  const [created, started, ended] = [0, 0, 0].map(() => new Array<number>(size).fill(-1));
  const since = (at: Date | null) => (at === null ? -1 : Math.max(0, at.getTime() - t0.getTime()));
  const hasRow = new Set(steps.map(({ position }) => position));
  const edges = new Uint8Array(graph.edges.length);
  for (const { position, status, attempt, createdAt, startedAt, endedAt, routes, lost } of steps) {
    letters[position] = STATUS_LETTERS[status];
    attempts[position] = attempt;
    created![position] = since(createdAt);
    started![position] = since(startedAt);
    ended![position] = since(endedAt);
    if (!resolvesEdges(status, lost)) continue;
    for (const edge of graph.outgoing[position]!) {
      // The end of a producer makes the rows of its targets: without one nothing was decided.
      if (hasRow.has(edge.to)) edges[edge.id] = isLive(edge, status, routes) ? EDGE_LIVE : EDGE_DEAD;
    }
  }
  return {
    status_of: letters.join(''),
    attempts,
    created: created!,
    started: started!,
    ended: ended!,
    edges: Array.from(edges, (state) => EDGE_LETTERS[state]).join(''),
  };
}
