/**
 * Checks every execution as a whole against the rules of the core, beyond the reach of SQL.
 *
 * Each page of executions is one snapshot of its own: it shows each execution consistently, and no transaction
 * stays open for long.
 */
import { type Finding, findInInputs, findInJobs, findInView } from '../../core/invariants.ts';
import { isFinalStep } from '../../core/status.ts';
import type { Db } from '../../db/connection/client.ts';
import type { DatabaseWay } from '../../db/connection/features.ts';
import { inSnapshot, type Offender } from '../../db/doctor/examine.ts';
import type { Invariant } from '../../db/doctor/invariant.ts';
import { readExecutionsAfter, readInputs, readStepJobs } from '../../db/doctor/views.ts';
import { type LoadedStep, loadSteps } from '../../db/workflow-step-execution.ts';
import { viewOf } from '../../template/stored-view.ts';
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

/** Returns the faults of all executions, page by page, until `most` findings. */
export async function findInExecutions(
  sources: ViewSources,
  most: number,
): Promise<{ count: number; rows: Offender[] }> {
  const rows: Offender[] = [];
  let count = 0;
  let last: string | null = BEFORE_ALL;
  while (last !== null) {
    const after: string = last;
    const { url, session } = sources;
    const found = await inSnapshot(url, { deadlineMs: PAGE_DEADLINE_MS, session }, ({ db }) =>
      findInPage(db, sources, after),
    );
    count += found.offenders.length;
    rows.push(...found.offenders.slice(0, most - rows.length));
    last = found.last;
  }
  return { count, rows };
}

async function findInPage(
  db: Db,
  { pgbossSchema, versions }: ViewSources,
  after: string,
): Promise<{ offenders: Offender[]; last: string | null }> {
  const executions = await readExecutionsAfter(db, after, PAGE);
  const ids = executions.map(({ id }) => id);
  const loaded = await loadSteps(db, ids);
  const steps = Map.groupBy(loaded, ({ executionId }) => executionId);
  const jobs = await readStepJobs(
    db,
    pgbossSchema,
    loaded.map(({ id }) => id),
  );
  const inputs = await readInputs(db, ids);
  const offenders: Offender[] = [];
  for (const execution of executions) {
    const { id } = execution;
    const say = (detail: string) => offenders.push({ id, executionId: id, queue: null, detail });
    const view = await versions
      .get(db, execution.templateId)
      .then((version) => viewOf(version, execution, (steps.get(id) ?? []).map(withoutOwnerWhenSettled)))
      .catch((error: Error) => {
        say(error.message);
        return null;
      });
    if (view === null) continue;
    const findings: Finding[] = [
      ...findInView(view),
      ...findInJobs(view, jobs.get(id) ?? []),
      ...findInInputs(view, inputs.get(id) ?? []),
    ];
    for (const { code, message } of findings) say(`${code}: ${message}`);
  }
  return { offenders, last: executions.length < PAGE ? null : executions.at(-1)!.id };
}

/** A settled row keeps its owner; a view does not. */
function withoutOwnerWhenSettled(step: LoadedStep): LoadedStep {
  return isFinalStep(step.status) ? { ...step, owner: null } : step;
}
