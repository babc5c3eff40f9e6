/**
 * The calls that read graphs and states, in columns.
 */
import type { CompareQuery } from '../services/reading/compare-answers.ts';
import type { StateQuery } from '../services/reading/reading-answers.ts';
import type { StatsQuery } from '../services/stats/stats-answers.ts';
import { queryOf } from './query.ts';
import * as answer from './reading-answers.ts';
import type { Call } from './send.ts';

export interface StatsOptions extends Omit<StatsQuery, 'bucket'> {
  /** A duration such as `1h`. */
  bucket?: string | undefined;
}

export function readingCalls(call: Call) {
  return {
    /** Reads the graph of a template: of the latest version, or of the one that is named. */
    getGraph: (template: string, version?: number) =>
      call(
        'GET',
        `/api/v1/templates/${encodeURIComponent(template)}/graph${queryOf({ version })}`,
        answer.graph,
      ),
    /** Compares two executions of one template. */
    compare: (query: CompareQuery) =>
      call('GET', `/api/v1/execution/compare${queryOf({ ...query })}`, answer.comparison),
    /** Counts executions by how they ended, in buckets. */
    stats: (query: StatsOptions = {}) => call('GET', `/admin/stats${queryOf({ ...query })}`, answer.stats),
    /** Reads the state of an execution, or of a scope of it, by the positions of its graph. */
    getState: (query: StateQuery) =>
      call('GET', `/api/v1/execution/state${queryOf({ ...query })}`, answer.state),
  };
}
