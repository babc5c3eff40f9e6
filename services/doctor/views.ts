/**
 * Checks every execution and every scope as a whole against the rules of the core, beyond the reach of SQL.
 *
 * Each page is one snapshot of its own: it shows each view consistently, and no transaction stays open for long.
 */
import { type Finding, findInInputs, findInJobs, findInView } from '../../core/invariants.ts';
import { isFinalStep } from '../../core/status.ts';
import type { ExecutionView, ScopeId } from '../../core/view.ts';
import type { Db } from '../../db/connection/client.ts';
import type { DatabaseWay } from '../../db/connection/features.ts';
import type { Offender, TakeSnapshot } from '../../db/doctor/examine.ts';
import type { Invariant } from '../../db/doctor/invariant.ts';
import {
  readAroundScopes,
  readExecutionsAfter,
  readInputs,
  readScopesAfter,
  readStepJobs,
} from '../../db/doctor/views.ts';
import { readHeldScopes } from '../../db/scopes/held-scopes.ts';
import { readScopes } from '../../db/scopes/scope.ts';
import { type LoadedStep, loadScopeSteps, loadSteps } from '../../db/workflow-step-execution.ts';
import { Places, rowOfScope } from '../../door/scopes/stored-scope.ts';
import { type StoredStep, viewOf } from '../../template/stored-view.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { TemplateVersions } from '../../template/versions.ts';

export const VIEW_INVARIANT: Invariant = {
  name: 'execution-contradicts-definition',
  meaning: 'Every execution, taken as a whole, is one that its definition can lead to.',
  advice: 'Somebody wrote rows by hand, or a bug of the engine did: please report it with the details.',
  repair: null,
  graceSeconds: 0,
};

export interface ViewSources {
  readonly url: string;
  /** Default: a long-lived session. */
  readonly session?: DatabaseWay['session'] | undefined;
  readonly pgbossSchema: string;
  readonly versions: TemplateVersions;
}

const PAGE = 100;
const PAGE_DEADLINE_MS = 30_000;
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000';
const BEFORE_ALL_SCOPES: ScopeId = { holderId: BEFORE_ALL, index: -1 };

/** Returns the faults of all views, page by page: all are counted, `most` are returned. */
export async function findInExecutions(
  take: TakeSnapshot,
  sources: ViewSources,
  most: number,
): Promise<{ count: number; rows: Offender[] }> {
  const found = new Found(most);
  await eachPage(take, sources, found, BEFORE_ALL, findInPage);
  await eachPage(take, sources, found, BEFORE_ALL_SCOPES, findInScopes);
  return found;
}

class Found {
  readonly rows: Offender[] = [];
  count = 0;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  add(executionId: string, detail: string): void {
    this.count += 1;
    if (this.rows.length < this.#most) this.rows.push({ id: executionId, executionId, queue: null, detail });
  }
}

/** Checks the page after a place. Returns where it ends; null: it was the last. */
type Page<Place> = (db: Db, sources: ViewSources, after: Place, found: Found) => Promise<Place | null>;

async function eachPage<Place>(
  take: TakeSnapshot,
  sources: ViewSources,
  found: Found,
  first: Place,
  page: Page<Place>,
): Promise<void> {
  for (let place: Place | null = first; place !== null; ) {
    const after: Place = place;
    place = await take(PAGE_DEADLINE_MS, ({ db }) => page(db, sources, after, found));
  }
}

async function findInPage(db: Db, sources: ViewSources, after: string, found: Found): Promise<string | null> {
  const executions = await readExecutionsAfter(db, after, PAGE);
  const ids = executions.map(({ id }) => id);
  const loaded = await loadSteps(db, ids);
  const steps = Map.groupBy(loaded, ({ executionId }) => executionId);
  const look = await lookAmong(db, sources, loaded);
  for (const row of executions) {
    const own = steps.get(row.id) ?? [];
    await look(found, row.id, row.templateId, own, (version, stored) => ({
      ...viewOf(version, row, stored),
      hasOpenChildren: row.hasOpenChildren,
    }));
  }
  return executions.length < PAGE ? null : executions.at(-1)!.id;
}

async function findInScopes(
  db: Db,
  sources: ViewSources,
  after: ScopeId,
  found: Found,
): Promise<ScopeId | null> {
  const ids = await readScopesAfter(db, after, PAGE);
  const scopes = await readScopes(db, ids);
  const executions = await readAroundScopes(db, [...new Set(scopes.map(({ executionId }) => executionId))]);
  const loaded = await loadScopeSteps(db, scopes);
  const nameOf = (executionId: string, path: string) => `${executionId}/${path}`;
  const steps = Map.groupBy(loaded, ({ executionId, scope }) => nameOf(executionId, scope));
  const places = await Places.around(db, scopes);
  const look = await lookAmong(db, sources, loaded);
  for (const row of scopes) {
    const { executionId, path } = row;
    const execution = executions.get(executionId);
    if (execution === undefined) continue;
    const { templateId, isPaused } = execution;
    const own = steps.get(nameOf(executionId, path)) ?? [];
    await look(found, executionId, templateId, own, (version, stored) => {
      const { scope, graph } = places.of(version, row);
      return viewOf(version, rowOfScope(row, isPaused), stored, scope, graph);
    });
  }
  return ids.length < PAGE ? null : ids.at(-1)!;
}

type Look = (
  found: Found,
  executionId: string,
  templateId: string,
  steps: readonly LoadedStep[],
  make: (version: TemplateVersion, steps: readonly StoredStep[]) => ExecutionView,
) => Promise<void>;

/** Returns a function that looks at one view, whose steps are among these. */
async function lookAmong(
  db: Db,
  { pgbossSchema, versions }: ViewSources,
  all: readonly LoadedStep[],
): Promise<Look> {
  const ids = all.map(({ id }) => id);
  const jobs = Map.groupBy(await readStepJobs(db, pgbossSchema, ids), ({ stepId }) => stepId);
  const inputs = Map.groupBy(await readInputs(db, ids), ({ stepId }) => stepId);
  const held = await readHeldScopes(db, ids);
  const findings = (view: ExecutionView, steps: readonly LoadedStep[]): Finding[] => [
    ...findInView(view),
    ...findInJobs(
      view,
      steps.flatMap(({ id }) => jobs.get(id) ?? []),
    ),
    ...findInInputs(
      view,
      steps.flatMap(({ id }) => inputs.get(id) ?? []),
    ),
  ];
  return async (found, executionId, templateId, steps, make) => {
    try {
      const version = await versions.get(db, templateId);
      const stored = steps.map((step) => ({
        ...withoutOwnerWhenSettled(step),
        held: held.get(step.id) ?? null,
      }));
      const view = make(version, stored);
      const where = view.scope === null ? '' : ` in scope ${view.scope.path}`;
      for (const { code, message } of findings(view, steps))
        found.add(executionId, `${code}${where}: ${message}`);
    } catch (error) {
      found.add(executionId, (error as Error).message);
    }
  };
}

/** A settled row keeps its owner; a view does not. */
function withoutOwnerWhenSettled(step: LoadedStep): LoadedStep {
  return isFinalStep(step.status) ? { ...step, owner: null } : step;
}
