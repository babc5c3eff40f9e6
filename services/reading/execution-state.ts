/**
 * The state of an execution, or of a scope of it, in columns.
 */

import { type Graph, graphAt, pathAt } from '../../core/graph.ts';
import type { HookUrls } from '../../core/hooks/hook-urls.ts';
import { graphColumns } from '../../core/reading/graph-columns.ts';
import { stateColumns } from '../../core/reading/state-columns.ts';
import type { Pool } from '../../db/connection/client.ts';
import {
  type ExecutionSnapshot,
  type HeldNumbers,
  readSnapshot,
  type SnapshotStep,
} from '../../db/reading/execution-state.ts';
import { readManyInputs } from '../../db/workflow-execution.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import { type Caller, seesHooks } from '../caller.ts';
import { readQueueWaits } from '../steps/queue-waits.ts';
import type { QueueWaits } from '../steps/wait-body.ts';
import { waitBody } from '../steps/wait-body.ts';
import { noScope, visible } from '../visible.ts';
import type { StateBody, StateQuery, StateScopes } from './reading-answers.ts';
import { waitLabel } from './wait-label.ts';

export interface StateParts {
  readonly pool: Pool;
  readonly versions: TemplateVersions;
  readonly hookUrls: HookUrls;
  readonly store: Pick<OutputStore, 'text'>;
}

/** A step with its place in the graph of its scope. */
interface PlacedStep {
  readonly step: SnapshotStep;
  readonly slot: number;
}

/** @throws EngineError when the execution or the scope is not there, or the caller may not see it */
export async function readState(
  parts: StateParts,
  caller: Caller,
  { execution_id: id, scope = '', include }: StateQuery,
): Promise<StateBody> {
  const { pool, versions } = parts;
  const found = visible(caller, 'execution', id, await readSnapshot(pool, id, scope));
  if (scope !== '' && found.steps.length === 0) throw noScope(id, scope);
  const version = await versions.get(pool, found.templateId);
  const graph = graphOf(version, found.steps);
  const placed = placeSteps(version, graph, found.steps);
  const columns = stateColumns(graph, found.createdAt, placed.map(stateStep));
  const { hash } = graphColumns(graph);
  return {
    execution_id: id,
    sequence: found.sequence,
    status: found.status,
    stop_requested: found.stopRequested,
    template: version.name,
    version: version.version,
    graph_hash: hash,
    t0: found.createdAt.toISOString(),
    ...columns,
    waits: await waitsOf(parts, caller, id, { version, graph, found, placed }),
    scopes: Object.fromEntries(
      placed.flatMap(({ step: { held }, slot }) =>
        held === null ? [] : [[graph.steps[slot]!.key, numbersOf(held)]],
      ),
    ),
    ...(include === 'ids' ? { ids: idsOf(graph, placed) } : {}),
  };
}

/** Returns the graph whose steps these are; without steps the one of the top level. */
function graphOf({ graph, graphs, positions }: TemplateVersion, [first]: readonly SnapshotStep[]): Graph {
  return first === undefined ? graph : graphAt(graphs, positions.get(first.stepTemplateId)!);
}

/** Leaves compensations out: a graph has no positions for them. */
function placeSteps(
  { positions }: TemplateVersion,
  graph: Graph,
  steps: readonly SnapshotStep[],
): PlacedStep[] {
  return steps
    .map((step) => ({ step, slot: positions.get(step.stepTemplateId)! - graph.firstPosition }))
    .filter(({ slot }) => slot < graph.size);
}

function stateStep({ step, slot }: PlacedStep) {
  const { status, attempt, createdAt, startedAt, completedAt: endedAt, routes, lost } = step;
  return { position: slot, status, attempt, createdAt, startedAt, endedAt, routes, lost };
}

interface Placed {
  readonly version: TemplateVersion;
  readonly graph: Graph;
  readonly found: ExecutionSnapshot;
  readonly placed: readonly PlacedStep[];
}

async function waitsOf(
  { pool, store, hookUrls }: StateParts,
  caller: Caller,
  id: string,
  { version, graph, found, placed }: Placed,
): Promise<StateBody['waits']> {
  const queueWaits = await readQueued(pool, store, id, { version, found });
  const waits: StateBody['waits'] = {};
  for (const { step, slot } of placed) {
    const hookUrl = () =>
      seesHooks(caller)
        ? hookUrls.of({ executionId: id, scope: step.scope, position: graph.firstPosition + slot })
        : null;
    const wait = waitBody(step, {
      hookUrl,
      execution: found,
      place: { template: version.name, step: pathAt(version.graphs, graph.firstPosition + slot) },
      queueWaits,
    });
    // The status says it all.
    if (wait === null || wait.kind === 'inputs') continue;
    waits[slot] = waitLabel(step.held === null ? wait : { ...wait, open: step.held.open });
  }
  return waits;
}

async function readQueued(
  pool: Pool,
  store: StateParts['store'],
  id: string,
  { version, found }: Pick<Placed, 'version' | 'found'>,
): Promise<QueueWaits> {
  const { workspaceId, steps } = found;
  const queued = steps.filter(({ status }) => status === 'queued');
  if (queued.length === 0) return new Map();
  // Keys of limits may read the inputs.
  const inputs = version.hasLimits ? (await readManyInputs(pool, [id], null)).get(id) : undefined;
  return readQueueWaits(pool, store, {
    version,
    execution: { id, workspaceId, inputs: inputs ?? 'null' },
    steps: queued,
  });
}

function numbersOf({ total, completed, failed, cancelled, open: running }: HeldNumbers): StateScopes {
  const waiting = total - completed - failed - cancelled - running;
  return { total, completed, failed, running, waiting, cancelled };
}

function idsOf({ size }: Graph, placed: readonly PlacedStep[]): (string | null)[] {
  const ids = new Array<string | null>(size).fill(null);
  for (const { step, slot } of placed) ids[slot] = step.id;
  return ids;
}
