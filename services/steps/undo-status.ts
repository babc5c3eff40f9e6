/**
 * The steps that compensations leave open, for the status of an execution: `uncertain`, and `not_undone`.
 */
import { type Graph, graphAt } from '../../core/graph.ts';
import { stepPath } from '../../core/scopes/step-path.ts';
import { type ExecutionStatus, isFinalExecution } from '../../core/status.ts';
import { slotOf } from '../../core/view.ts';
import type { Db } from '../../db/connection/client.ts';
import type { StepDetail } from '../../db/execution-queries.ts';
import {
  type CompensatedSteps,
  readNotUndoneSteps,
  readUncertainSteps,
  type StepInScope,
} from '../../db/scopes/uncertain-steps.ts';
import type { TemplateVersion } from '../../template/version.ts';

/** Steps in scopes. */
export interface OpenInside {
  readonly uncertain: readonly StepInScope[];
  readonly notUndone: readonly StepInScope[];
}

const NONE: OpenInside = { uncertain: [], notUndone: [] };
const UNDOING: ReadonlySet<ExecutionStatus> = new Set(['compensating', 'failed', 'cancelled', 'timed_out']);

/** Reads where something is undone, or was: an execution that goes on or has completed undoes nothing. */
export async function readOpenInside(
  db: Db,
  { id, status }: { readonly id: string; readonly status: ExecutionStatus },
  version: TemplateVersion,
): Promise<OpenInside> {
  const inside = compensatedInside(version);
  if (!UNDOING.has(status) || inside.steps.length === 0) return NONE;
  return {
    uncertain: await readUncertainSteps(db, id, inside.steps),
    notUndone: await readNotUndoneSteps(db, id, inside, isFinalExecution(status)),
  };
}

/** Returns the steps inside scopes that have a compensation. */
export function compensatedInside({ graphs, stepTemplateIds }: TemplateVersion): CompensatedSteps {
  const inner = graphs.filter(({ held, compensated }) => held !== null && compensated.length > 0);
  const idAt = ({ firstPosition }: Graph, slot: number) => stepTemplateIds[firstPosition + slot]!;
  return {
    steps: inner.flatMap((graph) => graph.compensated.map((slot) => idAt(graph, slot))),
    compensations: inner.flatMap((graph) =>
      graph.compensated.map((_, place) => idAt(graph, graph.size + place)),
    ),
  };
}

/** Paths of steps with a compensation. */
export interface OpenSteps {
  /** Those that had begun and gave no result. */
  readonly uncertain: string[];
  /** Those that completed, and whose compensation did not complete. */
  readonly not_undone: string[];
}

/** @param top rows of the top level, with its compensations */
export function openSteps(
  version: TemplateVersion,
  status: ExecutionStatus,
  top: readonly StepDetail[],
  inside: OpenInside,
): OpenSteps {
  const path = ({ scope, stepTemplateId }: StepInScope) => stepPath(scope, keyOf(version, stepTemplateId));
  const { graph } = version;
  if (graph.compensated.length === 0 || !UNDOING.has(status))
    return { uncertain: inside.uncertain.map(path), not_undone: inside.notUndone.map(path) };
  const at = new Map(top.map((row) => [slotOf(graph, version.positions.get(row.stepTemplateId)!), row]));
  const isOver = isFinalExecution(status);
  const keys = (which: (step: StepDetail, compensation: StepDetail | undefined) => boolean) =>
    graph.compensated.flatMap((slot, place) => {
      const step = at.get(slot);
      return step !== undefined && which(step, at.get(graph.size + place)) ? [graph.steps[slot]!.key] : [];
    });
  return {
    uncertain: [
      ...keys((step) => step.status === 'cancelled' && step.attempt > 0),
      ...inside.uncertain.map(path),
    ],
    not_undone: [
      ...keys((step, undo) => step.status === 'completed' && isNotUndone(undo, isOver)),
      ...inside.notUndone.map(path),
    ],
  };
}

function isNotUndone(compensation: StepDetail | undefined, isOver: boolean): boolean {
  if (compensation === undefined) return isOver;
  return compensation.status === 'failed' || compensation.status === 'cancelled';
}

function keyOf(version: TemplateVersion, stepTemplateId: string): string {
  const position = version.positions.get(stepTemplateId)!;
  return graphAt(version.graphs, position).steps[slotOf(graphAt(version.graphs, position), position)]!.key;
}
