/**
 * The calls that read graphs and states, in columns.
 */
import type { StateQuery } from '../services/reading/reading-answers.ts';
import { queryOf } from './query.ts';
import * as answer from './reading-answers.ts';
import type { Call } from './send.ts';

export function readingCalls(call: Call) {
  return {
    /** Reads the graph of a template: of the latest version, or of the one that is named. */
    getGraph: (template: string, version?: number) =>
      call(
        'GET',
        `/api/v1/templates/${encodeURIComponent(template)}/graph${queryOf({ version })}`,
        answer.graph,
      ),
    /** Reads the state of an execution, or of a scope of it, by the positions of its graph. */
    getState: (query: StateQuery) =>
      call('GET', `/api/v1/execution/state${queryOf({ ...query })}`, answer.state),
  };
}
