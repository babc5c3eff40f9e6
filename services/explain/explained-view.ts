/**
 * The view that is explained: an execution, or a scope of it, with the rows of its steps.
 */
import type { ExecutionFacts, StepFacts } from '../../core/explain/situation.ts';
import { type Graph, graphAt } from '../../core/graph.ts';
import { EngineError } from '../../core/problem.ts';
import { type ExecutionView, slotOf } from '../../core/view.ts';
import type { Db } from '../../db/connection/client.ts';
import {
  type ExplainedExecution,
  type ExplainedScope,
  type ExplainedStep,
  readExplained,
  readExplainedScope,
  readExplainedSteps,
  readPauser,
  readPlaceInLine,
} from '../../db/explain/execution.ts';
import { readHeldScopes } from '../../db/scopes/held-scopes.ts';
import { viewOf } from '../../template/stored-view.ts';
import type { TemplateVersion } from '../../template/version.ts';

export interface ExplainedView {
  readonly execution: ExplainedExecution;
  readonly facts: ExecutionFacts;
  readonly graph: Graph;
  readonly view: ExecutionView;
  /** By slot. */
  readonly rows: readonly (ExplainedStep | undefined)[];
  readonly steps: readonly (StepFacts | undefined)[];
}

export interface ExplainedOf {
  readonly execution: ExplainedExecution;
  readonly version: TemplateVersion;
  /** Empty: the top level. */
  readonly scope: string;
  readonly stopGraceMs: number;
}

/** The rows are read anew when the execution began between two reads. */
const MAX_READS = 3;

/**
 * Reads the rows of the steps first, then the state of the execution: when that is not final, the rows are those of an
 * execution that goes on.
 * @throws EngineError('scope_not_found')
 */
export async function readExplainedView(db: Db, of: ExplainedOf): Promise<ExplainedView> {
  for (let reads = 1; ; reads += 1) {
    const rows = await readExplainedSteps(db, of.execution.id, of.scope);
    const scope = of.scope === '' ? null : await readExplainedScope(db, of.execution.id, of.scope);
    if (of.scope !== '' && (scope === null || rows.length === 0)) throw noScope(of);
    const execution = (await readExplained(db, of.execution.id)) ?? of.execution;
    const hasBegun = execution.status !== 'pending' && execution.status !== 'paused';
    if (rows.length === 0 && hasBegun && execution.completedAt === null && reads < MAX_READS) continue;
    return make(db, { ...of, execution }, scope, rows);
  }
}

async function make(
  db: Db,
  { execution, version, stopGraceMs }: ExplainedOf,
  scope: ExplainedScope | null,
  rows: readonly ExplainedStep[],
): Promise<ExplainedView> {
  const positionOf = ({ stepTemplateId }: ExplainedStep) => version.positions.get(stepTemplateId)!;
  const graph = rows[0] === undefined ? version.graph : graphAt(version.graphs, positionOf(rows[0]));
  const hasScopes = graph.inner.some((inner) => inner.length > 0);
  const held = await readHeldScopes(db, hasScopes ? rows.map(({ id }) => id) : []);
  const stored = rows.map((row) => ({ ...row, held: held.get(row.id) ?? null }));
  const view = viewOf(version, stateOf(execution, scope), stored, null, graph);
  const bySlot: (ExplainedStep | undefined)[] = graph.steps.map(() => undefined);
  for (const row of rows) bySlot[slotOf(graph, positionOf(row))] = row;
  const isInLine = execution.status === 'pending' && execution.startAt === null;
  const { pausedAt } = execution;
  const stopAt = execution.stopRequestedAt ?? scope?.stopRequestedAt ?? null;
  const facts: ExecutionFacts = {
    startAt: execution.startAt,
    position: isInLine ? await readPlaceInLine(db, execution) : null,
    paused: pausedAt === null ? null : { sinceMs: pausedAt, by: await readPauser(db, execution.id) },
    stopRequestedAt: stopAt,
    graceEndsAt: stopAt === null ? null : stopAt + stopGraceMs,
  };
  return { execution, facts, graph, view, rows: bySlot, steps: bySlot };
}

/** A scope goes on only as far as its execution does. */
function stateOf(execution: ExplainedExecution, scope: ExplainedScope | null): ExplainedExecution {
  if (scope === null) return execution;
  const isHeld = scope.status === 'running' && execution.status === 'paused';
  const isStopping = scope.stopRequestedAt !== null || execution.stopRequested !== null;
  return {
    ...execution,
    status: isHeld ? 'paused' : scope.status,
    stopRequested: isStopping ? { reason: null } : null,
  };
}

function noScope({ execution, scope }: ExplainedOf): EngineError {
  return new EngineError(
    'scope_not_found',
    `Execution ${execution.id} has no ${scope}, or has not begun it.`,
  );
}
