/**
 * Answers about graphs and states, in the field names of the API.
 */
import type { GraphColumns } from '../../core/reading/graph-columns.ts';
import type { StateColumns } from '../../core/reading/state-columns.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import type { Caller } from '../caller.ts';
import type { CompareBody, CompareQuery } from './compare-answers.ts';

export type GraphBody = GraphColumns;

/** The number of scopes of a step, by their state. */
export interface StateScopes {
  total: number;
  completed: number;
  failed: number;
  running: number;
  waiting: number;
  cancelled: number;
}

export interface StateBody extends StateColumns {
  execution_id: string;
  /** Counts the transitions of the execution. */
  sequence: number;
  status: ExecutionStatus;
  stop_requested: boolean;
  template: string;
  version: number;
  /** `hash` of the graph whose positions these are. */
  graph_hash: string;
  t0: string;
  /** By position: kind and text. */
  waits: Record<string, [kind: string, text: string]>;
  /** By key. */
  scopes: Record<string, StateScopes>;
  /** By position; null: no row. Only when asked for. */
  ids?: (string | null)[];
}

export interface StateQuery {
  execution_id: string;
  /** Path of a scope, such as `each[3]`; left out: the top level. */
  scope?: string | undefined;
  include?: 'ids' | undefined;
}

export interface ReadingPort {
  /** The graph of the latest version, or of the one that is named. */
  graph(caller: Caller, name: string, version?: number): Promise<GraphBody>;
  state(caller: Caller, query: StateQuery): Promise<StateBody>;
  compare(caller: Caller, query: CompareQuery): Promise<CompareBody>;
}
