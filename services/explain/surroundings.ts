/**
 * Reads what is around the steps of a page, in a number of statements that does not grow with the steps: each is sent only
 * when a step needs it.
 */

import type { Surroundings } from '../../core/explain/situation.ts';
import { pathAt } from '../../core/graph.ts';
import { incidentGroup } from '../../core/hold/incident-group.ts';
import type { SignsOfLife } from '../../db/engine-alive.ts';
import { readAwaitedChildren, readLeases, readOpenScopes } from '../../db/explain/around.ts';
import { readEngines } from '../../db/explain/engines.ts';
import type { ExplainedStep } from '../../db/explain/execution.ts';
import { readRunningSteps } from '../../db/explain/holders.ts';
import { readManyInputs } from '../../db/workflow-execution.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { Caller } from '../caller.ts';
import type { ExplainedView } from './explained-view.ts';
import { readsInput } from './limit-keys.ts';
import { type LimitsById, type LineSources, readLimitsInFull } from './limits.ts';

export const NOTHING_AROUND: Surroundings = {
  engines: [],
  types: [],
  slotHolders: [],
  limits: new Map(),
  children: new Map(),
  openScopes: new Map(),
  leases: new Map(),
  incidents: new Map(),
};

export interface SurroundingSources extends LineSources {
  readonly signs: SignsOfLife;
}

export async function readSurroundings(
  sources: SurroundingSources,
  caller: Caller,
  version: TemplateVersion,
  { execution, view, rows }: ExplainedView,
  slots: readonly number[],
): Promise<Surroundings> {
  const { db, signs } = sources;
  const page = slots.flatMap((slot) => rows[slot] ?? []);
  const waiting = page.filter(({ status }) => status === 'waiting');
  const waitsFor = (kind: string) =>
    waiting.filter(({ waitingFor }) => waitingFor?.kind === kind).map(({ id }) => id);
  const childIds = waiting.flatMap(({ id, waitingFor }): [string, string][] =>
    waitingFor?.kind === 'child' ? [[id, String(waitingFor.execution_id)]] : [],
  );
  const queued = page.filter(({ status }) => status === 'queued');
  const mayBegin = queued.length > 0 || view.steps.every((state) => state === undefined);
  const needsEngines = mayBegin || page.some(({ status }) => status === 'running');
  const [engines, children, openScopes, leases, limits] = await Promise.all([
    needsEngines ? readEngines(db, signs) : [],
    readAwaitedChildren(db, new Map(childIds)),
    readOpenScopes(db, waitsFor('scopes')),
    readLeases(db, waitsFor('task')),
    limitsOf(sources, version, execution, queued),
  ]);
  const isFull = engines.every(({ isAlive, capacity, used }) => !isAlive || used >= capacity);
  const slotHolders =
    queued.length > 0 && isFull
      ? await readRunningSteps(db, caller.admin ? undefined : caller.workspaceId)
      : [];
  const types = [...new Set(version.steps.map(({ step }) => step.type))];
  const incidents = incidentsOf(version, execution.workspaceId, page);
  return { engines, types, slotHolders, limits, children, openScopes, leases, incidents };
}

/** Returns the groups of the incidents of those steps that nothing but a decision ends the wait of. */
function incidentsOf(
  { name, graphs, positions }: TemplateVersion,
  workspaceId: string | null,
  page: readonly ExplainedStep[],
): ReadonlyMap<string, string> {
  const stuck = page.filter(({ status, timerAt }) => status === 'retrying' && timerAt === null);
  const groupOf = ({ stepTemplateId, error }: ExplainedStep) =>
    incidentGroup(workspaceId, name, pathAt(graphs, positions.get(stepTemplateId)!), error?.code ?? '');
  return new Map(stuck.map((row) => [row.id, groupOf(row)]));
}

async function limitsOf(
  sources: SurroundingSources,
  version: TemplateVersion,
  { id, workspaceId }: ExplainedView['execution'],
  queued: readonly { readonly id: string; readonly stepTemplateId: string }[],
): Promise<LimitsById> {
  const compiled = ({ stepTemplateId }: { readonly stepTemplateId: string }) =>
    version.steps[version.positions.get(stepTemplateId)!]!;
  const steps = queued.filter((step) => compiled(step).limits !== null);
  if (steps.length === 0) return new Map();
  const needsInput = steps.some((step) => readsInput(compiled(step).limits!));
  const inputs = needsInput ? ((await readManyInputs(sources.db, [id], null)).get(id) ?? null) : null;
  return readLimitsInFull(sources, { version, workspaceId, inputs, steps });
}
