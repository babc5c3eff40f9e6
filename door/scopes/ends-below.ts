/**
 * Ends everything below holders in the transaction of their own plan: scopes, their steps, and the jobs of these.
 *
 * The caller has locked the execution and the holders' view. Commits of scopes that are on their way lose their guard,
 * since the sequence of each scope is raised.
 */
import { type JobKey, stepJobKeys } from '../../core/jobs.ts';
import { type ViewKey, viewKey } from '../../core/view.ts';
import { readClock } from '../../db/clock.ts';
import type { Tx } from '../../db/connection/client.ts';
import {
  type ClosedScopes,
  cancelSteps,
  countClosedBelow,
  endScopes,
  lockOpenScopes,
  type OpenScope,
  type OpenStep,
  readOpenSteps,
} from '../../db/scopes/ends-below.ts';
import { deleteInbox, endOf, type HeardEvent, readEventsFor } from '../../db/scopes/inbox.ts';
import { breakOffUndoing } from '../../db/scopes/undo.ts';
import type { ExecutionEngineQueue } from '../../queue/execution-engine-queue.ts';

/** What has ended below a plan, for the processes' memory. */
export interface Below {
  /** Views whose rows were changed. */
  readonly views: readonly ViewKey[];
  /** Steps whose handlers must end, or were asked to. */
  readonly running: readonly { readonly id: string }[];
  readonly isGraceful: boolean;
  /** Ids of all steps that were looked at. */
  readonly ended: readonly string[];
}

/** Open scopes at one depth below holders, locked, with their steps. */
export interface Level {
  readonly scopes: readonly OpenScope[];
  readonly steps: readonly OpenStep[];
}

export class EndsBelow {
  readonly #queue: Pick<ExecutionEngineQueue, 'deleteStatements'>;

  constructor(queue: Pick<ExecutionEngineQueue, 'deleteStatements'>) {
    this.#queue = queue;
  }

  /**
   * Cancels all that is below, and what undoes it. Scopes may have ended since the inbox was read: their ends are counted as what
   * they are.
   * @returns also the events that wait for the holders, whose rows are deleted
   */
  async cancel(
    tx: Tx,
    executionId: string,
    holderIds: readonly string[],
  ): Promise<{ readonly below: Below; readonly heard: readonly HeardEvent[] }> {
    const levels = await lockLevels(tx, executionId, holderIds);
    const scopes = levels.flatMap((level) => level.scopes);
    const steps = levels.flatMap((level) => level.steps);
    const inner = steps.filter(({ open, isOver }) => open > 0 || isOver);
    const heard = await readEventsFor(tx, executionId, [...holderIds, ...inner.map(({ id }) => id)]);
    const counts = new Map(inner.map((step) => [step.id, closedOf(step, heard)]));
    await breakOffUndoing(
      tx,
      steps.filter(({ isOver }) => isOver).map(({ id }) => id),
    );
    await this.#write(tx, { cancelled: scopes, stopping: [], steps, counts });
    const { text, values } = deleteInbox(heard.map(({ id }) => id));
    if (heard.length > 0) await tx.query(text, [...values]);
    return { below: belowOf(executionId, scopes, steps, false), heard };
  }

  /**
   * Cancels what is not running below; scopes in which a step runs are asked to stop.
   * @returns also how many scopes of each holder were cancelled, by its id
   */
  async stop(
    tx: Tx,
    executionId: string,
    holderIds: readonly string[],
  ): Promise<{ readonly below: Below; readonly cancelled: ReadonlyMap<string, number> }> {
    const levels = await lockLevels(tx, executionId, holderIds);
    const counts = new Map<string, number>();
    // A holder stays until it has heard of all its scopes, also of those that had ended by themselves.
    const stays = ({ id, isRunning, open }: OpenStep) => isRunning || open > (counts.get(id) ?? 0);
    const parts = { cancelled: [] as OpenScope[], stopping: [] as OpenScope[], steps: [] as OpenStep[] };
    // The deepest first: a scope stays while a step of it does.
    for (const { scopes, steps } of levels.toReversed()) {
      const left = new Set(steps.filter(stays).map(({ scope }) => scope));
      parts.steps.push(...steps.filter((step) => !stays(step)));
      for (const scope of scopes) {
        if (left.has(scope.path)) parts.stopping.push(scope);
        else {
          counts.set(scope.holderId, (counts.get(scope.holderId) ?? 0) + 1);
          parts.cancelled.push(scope);
        }
      }
    }
    const own = new Set(holderIds);
    const inner = [...counts].filter(([id]) => !own.has(id));
    const closed = inner.map(([id, count]) => [id, { ...NONE, cancelled: count }] as const);
    await this.#write(tx, { ...parts, counts: new Map(closed) });
    const all = levels.flatMap((level) => level.steps);
    const below = belowOf(executionId, [...parts.cancelled, ...parts.stopping], all, true);
    return { below, cancelled: counts };
  }

  async #write(
    tx: Tx,
    {
      cancelled,
      stopping,
      steps,
      counts,
    }: {
      readonly cancelled: readonly OpenScope[];
      readonly stopping: readonly OpenScope[];
      readonly steps: readonly OpenStep[];
      readonly counts: ReadonlyMap<string, ClosedScopes>;
    },
  ): Promise<void> {
    const { at } = await readClock(tx);
    await endScopes(tx, cancelled, 'cancel', at);
    await endScopes(tx, stopping, 'stop', at);
    await countClosedBelow(tx, counts);
    const ids = steps.filter(({ isOver }) => !isOver).map(({ id }) => id);
    await cancelSteps(tx, ids, at);
    const jobs: JobKey[] = ids.flatMap(stepJobKeys);
    if (jobs.length === 0) return;
    for (const statement of await this.#queue.deleteStatements(jobs)) await tx.query(statement);
  }
}

/** Locks the open scopes below holders, level by level: no scope is opened below one that is locked. */
export async function lockLevels(
  tx: Tx,
  executionId: string,
  holderIds: readonly string[],
): Promise<Level[]> {
  const levels: Level[] = [];
  for (let holders = holderIds; holders.length > 0; ) {
    const scopes = await lockOpenScopes(tx, holders);
    if (scopes.length === 0) break;
    const steps = await readOpenSteps(
      tx,
      executionId,
      scopes.map(({ path }) => path),
    );
    levels.push({ scopes, steps });
    holders = steps.filter(({ open, isOver }) => open > 0 || isOver).map(({ id }) => id);
  }
  return levels;
}

const NONE: ClosedScopes = { completed: 0, failed: 0, cancelled: 0 };

/** Returns what has become of the open scopes of a holder: those of which it has heard nothing are cancelled. */
function closedOf({ id, run, open }: OpenStep, heard: readonly HeardEvent[]): ClosedScopes {
  const closed = { ...NONE, cancelled: open };
  for (const event of heard) {
    const end = endOf(event);
    if (end === null || event.stepId !== id || end.run !== run) continue;
    closed.cancelled -= 1;
    closed[end.end.status] += 1;
  }
  return closed;
}

function belowOf(
  executionId: string,
  scopes: readonly OpenScope[],
  steps: readonly OpenStep[],
  isGraceful: boolean,
): Below {
  return {
    views: scopes.map((scope) => viewKey(executionId, scope)),
    running: steps.filter(({ isRunning }) => isRunning),
    isGraceful,
    ended: steps.map(({ id }) => id),
  };
}
