/**
 * The doctor: checks the design's invariants against the database, and repairs faults.
 *
 * A repair uses the engine's own paths: jobs are written under the locks of their executions, steps of dead engines
 * are taken over, and stuck executions are decided again by the core. Faults without a certain repair are only
 * reported.
 *
 * Invariant: one examination or repair at a time in a process; the next one waits for it.
 */

import { EngineError } from '../../core/problem.ts';
import type { ViewKey } from '../../core/view.ts';
import { isContended } from '../../db/connection/lane.ts';
import {
  examineTables,
  firstIdOfTheLast,
  LONGEST_MS,
  type Offender,
  type Offenders,
  SQL_INVARIANTS,
  type Unanswered,
  withSnapshots,
} from '../../db/doctor/examine.ts';
import type { Invariant } from '../../db/doctor/invariant.ts';
import type { Committer } from '../../door/committer.ts';
import type { LockedCommit } from '../../door/locked-commit.ts';
import { reconsider } from '../../door/reconsider.ts';
import { findUnknownSteps, HELD_INVARIANT } from './held-steps.ts';
import { type JobRepairOptions, MISSING_JOBS, repairJobs, STRAY_JOBS } from './repair-jobs.ts';
import { cancelOpenScopes, OPEN_SCOPES } from './repair-scopes.ts';
import type { DoctorPort, DoctorReport, DoctorRequest } from './report.ts';
import { findInExecutions, VIEW_INVARIANT, type ViewSources } from './views.ts';

/** All invariants, in the order of the report. */
export const INVARIANTS: readonly Invariant[] = [...SQL_INVARIANTS, HELD_INVARIANT, VIEW_INVARIANT];

export interface DoctorOptions extends ViewSources, JobRepairOptions {
  readonly committer: Committer;
  readonly locked: LockedCommit;
  /** Takes over the steps of dead engines (maintenance/pulse-loop.ts). */
  takeOver(): Promise<void>;
}

/** Default age up to which final executions are examined. */
const USUAL_SECONDS = 3_600;
const USUAL_DEADLINE_MS = 10_000;
const MAX_EXAMPLES = 10;
const MAX_REPAIRED_PER_ROUND = 1_000;
const MAX_ROUNDS = 20;
const EXECUTIONS_PER_TRANSACTION = 50;

/** Repaired by a new decision of the core, which also gives back steps that this engine holds without knowing. */
const RECONSIDERED: readonly string[] = [
  'undecided-join',
  'execution-not-ended',
  'scope-not-ended',
  'undone-scope-at-rest',
  'compensating-execution-stands-still',
  HELD_INVARIANT.name,
];
const TAKEN_OVER = 'running-step-without-owner';

export interface Examination {
  readonly offenders: ReadonlyMap<Invariant, Offenders>;
  readonly unanswered: readonly Unanswered[];
  readonly checked: readonly Invariant[];
}

/** Checks the invariants that need no engine process: every engine on the database gives the same answer. */
export async function examineDatabase(
  sources: ViewSources,
  { everything, graceSeconds, accept }: DoctorRequest,
  most = MAX_EXAMPLES,
): Promise<Examination> {
  const wanted = SQL_INVARIANTS.filter(({ name }) => !accept.includes(name));
  const deadlineMs = everything ? LONGEST_MS : USUAL_DEADLINE_MS;
  const { url, session, pgbossSchema } = sources;
  const withViews = everything && !accept.includes(VIEW_INVARIANT.name);
  return withSnapshots(url, session, async (take) => {
    const tables = await take(deadlineMs, async (snapshot) => {
      const since = await firstIdOfTheLast(snapshot.db, everything ? null : USUAL_SECONDS);
      return examineTables(snapshot, wanted, { pgbossSchema, graceSeconds, since, most });
    });
    const offenders = new Map<Invariant, Offenders>(tables.offenders);
    if (withViews) offenders.set(VIEW_INVARIANT, await findInExecutions(take, sources, most));
    return {
      offenders: new Map([...offenders].filter(([, { count }]) => count > 0)),
      unanswered: tables.unanswered,
      checked: withViews ? [...wanted, VIEW_INVARIANT] : wanted,
    };
  });
}

export class Doctor implements DoctorPort {
  readonly #options: DoctorOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: DoctorOptions) {
    this.#options = options;
  }

  async examine(request: DoctorRequest): Promise<DoctorReport> {
    requireKnown(request.accept);
    return this.#inTurn(async () => reportOf(await this.#examine(request), new Map()));
  }

  async repair(request: DoctorRequest): Promise<DoctorReport> {
    requireKnown(request.accept);
    return this.#inTurn(async () => {
      const repaired = new Map<string, number>();
      // A repair mends rows; only the examination after it has to cover everything.
      const quick = { ...request, everything: false };
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const found = await this.#examine(quick, MAX_REPAIRED_PER_ROUND);
        if (!(await this.#mend(found, repaired))) break;
      }
      return reportOf(await this.#examine(request), repaired);
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #examine(request: DoctorRequest, most = MAX_EXAMPLES): Promise<Examination> {
    const { pool, committer } = this.#options;
    const found = await examineDatabase(this.#options, request, most);
    if (request.accept.includes(HELD_INVARIANT.name)) return found;
    const unknown = await findUnknownSteps(pool, committer, request.graceSeconds);
    const offenders = new Map(found.offenders);
    if (unknown.length > 0)
      offenders.set(HELD_INVARIANT, { count: unknown.length, rows: unknown.slice(0, most) });
    return { ...found, offenders, checked: [...found.checked, HELD_INVARIANT] };
  }

  /** Runs one round; returns whether something was repaired, so that another round may find more. */
  async #mend({ offenders }: Examination, repaired: Map<string, number>): Promise<boolean> {
    let total = 0;
    const count = (name: string, more: number) => {
      total += more;
      if (more > 0) repaired.set(name, (repaired.get(name) ?? 0) + more);
    };
    const named = new Map([...offenders].map(([invariant, { rows }]) => [invariant.name, rows]));
    const orphaned = named.get(TAKEN_OVER) ?? [];
    if (orphaned.length > 0) {
      await this.#options.takeOver();
      count(TAKEN_OVER, orphaned.length - (await this.#left(TAKEN_OVER, orphaned.length)));
    }
    count(OPEN_SCOPES, await this.#cancelOpenScopes(offenders));
    for (const name of RECONSIDERED) {
      const rows = named.get(name) ?? [];
      const { committer, locked } = this.#options;
      const ids = new Set(rows.map(viewOf));
      const applied = await reconsider(committer.actors, locked, ids);
      count(name, rows.filter((row) => applied.has(viewOf(row))).length);
    }
    for (const [name, more] of await this.#repairJobs(offenders)) count(name, more);
    return total > 0;
  }

  async #cancelOpenScopes(offenders: ReadonlyMap<Invariant, Offenders>): Promise<number> {
    const invariant = SQL_INVARIANTS.find(({ name }) => name === OPEN_SCOPES)!;
    const ids = new Set(offenders.get(invariant)?.rows.map(({ executionId }) => executionId!));
    let count = 0;
    for (const id of ids)
      count += await cancelOpenScopes(this.#options, this.#options.committer, invariant, id);
    return count;
  }

  /** Returns how many rows still break an invariant that the takeover should have repaired. */
  async #left(name: string, most: number): Promise<number> {
    const accept = INVARIANTS.filter((invariant) => invariant.name !== name).map(
      (invariant) => invariant.name,
    );
    const request = { everything: false, graceSeconds: null, accept };
    const { offenders } = await examineDatabase(this.#options, request, most);
    return [...offenders.values()].reduce((sum, { rows }) => sum + rows.length, 0);
  }

  async #repairJobs(offenders: ReadonlyMap<Invariant, Offenders>): Promise<Map<string, number>> {
    const isMine = ({ name }: Invariant) => STRAY_JOBS.includes(name) || name in MISSING_JOBS;
    const rows = [...offenders].filter(([invariant]) => isMine(invariant)).flatMap(([, found]) => found.rows);
    const ids = [...new Set(rows.map(({ executionId }) => executionId).filter((id) => id !== null))].sort();
    const invariants = SQL_INVARIANTS.filter(isMine);
    const repaired = new Map<string, number>();
    for (let from = 0; from < ids.length; from += EXECUTIONS_PER_TRANSACTION) {
      const some = ids.slice(from, from + EXECUTIONS_PER_TRANSACTION);
      const mended = await repairJobs(this.#options, invariants, some).catch(unlessContended);
      for (const [name, more] of mended) repaired.set(name, (repaired.get(name) ?? 0) + more);
    }
    return repaired;
  }
}

/** Ignores faults on which the engine is working at the moment; if they stay, they are found again. */
function unlessContended(error: unknown): Map<string, number> {
  if (isContended(error)) return new Map();
  throw error;
}

function reportOf(
  { offenders, unanswered, checked }: Examination,
  repaired: ReadonlyMap<string, number>,
): DoctorReport {
  return {
    ok: offenders.size === 0 && unanswered.length === 0,
    findings: [...offenders].map(([{ name, meaning, advice }, { count, rows }]) => ({
      invariant: name,
      meaning,
      advice,
      count,
      examples: rows.map(({ id, executionId, detail }) => ({ id, execution_id: executionId, detail })),
    })),
    repaired: [...repaired].map(([invariant, count]) => ({ invariant, count })),
    checked: checked.map(({ name }) => name),
    unanswered: unanswered.map(({ name, reason }) => ({ invariant: name, reason })),
  };
}

function requireKnown(accept: readonly string[]): void {
  const names = new Set(INVARIANTS.map(({ name }) => name));
  const unknown = accept.find((name) => !names.has(name));
  if (unknown === undefined) return;
  const message = `There is no invariant "${unknown}"; there are ${[...names].join(', ')}.`;
  throw new EngineError('validation_failed', message, [
    { pointer: '/accept', code: 'invalid_value', message },
  ]);
}

function viewOf({ view, executionId }: Offender): ViewKey {
  return view ?? executionId!;
}
