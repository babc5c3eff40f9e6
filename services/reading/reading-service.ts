/**
 * Reads for people and pages: the graph of a version and the state of an execution in columns, and what differs between two
 * executions.
 */
import { graphColumns } from '../../core/reading/graph-columns.ts';
import { readTemplateByName } from '../../db/workflow-template.ts';
import type { Caller } from '../caller.ts';
import { templateNotFound } from '../template-service.ts';
import { compare } from './compare.ts';
import type { CompareBody, CompareQuery } from './compare-answers.ts';
import { readState, type StateParts } from './execution-state.ts';
import type { GraphBody, ReadingPort, StateBody, StateQuery } from './reading-answers.ts';

export class ReadingService implements ReadingPort {
  readonly #parts: StateParts;

  constructor(parts: StateParts) {
    this.#parts = parts;
  }

  async graph(caller: Caller, name: string, version?: number): Promise<GraphBody> {
    const { pool, versions } = this.#parts;
    const stored = await readTemplateByName(pool, caller.workspaceId, name, version ?? null);
    if (stored === null) throw templateNotFound(name, version);
    return graphColumns((await versions.get(pool, stored.id)).graph);
  }

  state(caller: Caller, query: StateQuery): Promise<StateBody> {
    return readState(this.#parts, caller, query);
  }

  compare(caller: Caller, query: CompareQuery): Promise<CompareBody> {
    return compare(this.#parts, caller, query);
  }
}
