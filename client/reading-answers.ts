/**
 * The minimum of the answers about graphs and states.
 */
import type {
  CompareBody,
  ComparedExecutionBody,
  FirstDifference,
  StepDifferences,
} from '../services/reading/compare-answers.ts';
import type { GraphBody, StateBody } from '../services/reading/reading-answers.ts';
import type { BucketBody, EndNumbersBody, StatsBody } from '../services/stats/stats-answers.ts';
import { anything, flag, list, number, object, optional, text } from './answer.ts';

export const graph = object<GraphBody>({
  hash: text,
  keys: list(text),
  types: list(text),
  type: list(number),
  depth: list(number),
  rank: list(number),
  join: list(anything),
  from: list(number),
  to: list(number),
  on: list(anything),
  route: list(anything),
  scopes: list(anything),
});

export const state = object<StateBody>({
  execution_id: text,
  sequence: number,
  status: text,
  stop_requested: flag,
  template: text,
  version: number,
  graph_hash: text,
  t0: text,
  status_of: text,
  attempts: list(number),
  created: list(number),
  started: list(number),
  ended: list(number),
  edges: text,
  waits: anything,
  scopes: anything,
  ids: optional(list(anything)),
});

const numbers = {
  total: number,
  completed: number,
  failed: number,
  cancelled: number,
  timed_out: number,
  p50_ms: optional(number),
  p95_ms: optional(number),
};

export const stats = object<StatsBody>({
  since: text,
  until: text,
  bucket_ms: number,
  template: optional(text),
  data: list(object<BucketBody>({ at: text, ...numbers })),
  totals: object<EndNumbersBody>(numbers),
});

const compared = object<ComparedExecutionBody>({ execution_id: text, version: number, status: text });

export const comparison = object<CompareBody>({
  template: text,
  a: compared,
  b: compared,
  first_difference: optional(
    object<FirstDifference>({ step: optional(text), field: text, a: anything, b: anything }),
  ),
  steps: list(object<StepDifferences>({ key: text, differs: list(text), a: anything, b: anything })),
});
