/**
 * Calls on all executions that fit a filter of the list: one commit for each execution, and none depends on another.
 */
import { EngineError } from '../../core/problem.ts';
import { isFinalExecution } from '../../core/status.ts';
import type { Caller } from '../caller.ts';
import type { ExecutionListItem, ExecutionServicePort } from '../execution-answers.ts';
import { BULK_LIMIT, type BulkAct, type BulkBody, type BulkPort, type BulkResult } from './bulk-answers.ts';
import type { PauseService } from './pause-service.ts';
import type { RetryServicePort } from './retry-answers.ts';

export interface BulkOptions {
  readonly executions: Pick<ExecutionServicePort, 'list' | 'cancel'>;
  readonly pauses: Pick<PauseService, 'change' | 'dryRun'>;
  readonly retries: RetryServicePort;
}

/** Executions that are worked on at a time. */
const AT_ONCE = 16;
const PAGE = 500;

export class BulkService implements BulkPort {
  readonly #options: BulkOptions;

  constructor(options: BulkOptions) {
    this.#options = options;
  }

  run(caller: Caller, act: BulkAct, body: BulkBody): Promise<BulkResult> {
    const isDry = body.dry_run === true;
    return changeEach(this.#options.executions, caller, body, (item) => this.#one(caller, act, item, isDry));
  }

  /** Returns whether the execution is changed, or would be. @throws EngineError when it is refused */
  async #one(caller: Caller, act: BulkAct, item: ExecutionListItem, isDry: boolean): Promise<boolean> {
    const { executions, pauses, retries } = this.#options;
    const { execution_id: id, status } = item;
    if (act === 'retry') {
      await retries.retry(caller, { execution_id: id, dry_run: isDry });
      return true;
    }
    if (act === 'cancel') {
      if (isFinalExecution(status)) return false;
      if (!isDry) await executions.cancel(caller, id, null);
      return true;
    }
    if (!isDry) return (await pauses.change(caller, id, act)).isChanged;
    await pauses.dryRun(caller, id, act);
    return (status === 'paused') !== (act === 'pause');
  }
}

/**
 * Changes all executions that fit the filter, a page at a time.
 * @param work returns whether the execution is changed, or would be; throws EngineError when it is refused
 */
export async function changeEach(
  executions: Pick<ExecutionServicePort, 'list'>,
  caller: Caller,
  body: BulkBody,
  work: (item: ExecutionListItem) => Promise<boolean>,
): Promise<BulkResult> {
  const { filter = {}, limit = BULK_LIMIT.default, dry_run: isDry = false } = body;
  if (Object.values(filter).every((condition) => condition === undefined))
    throw new EngineError('filter_required', 'Give a filter with at least one condition, such as status.');
  const result: BulkResult = { matched: 0, changed: 0, refused: [], more: false, next_cursor: null };
  let { cursor } = body;
  do {
    const most = Math.min(PAGE, limit - result.matched);
    const page = await executions.list(caller, { ...filter, cursor, limit: most });
    await changePage(page.data, result, work);
    result.matched += page.data.length;
    result.next_cursor = page.next_cursor;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && result.matched < limit);
  result.more = result.next_cursor !== null;
  return isDry ? { dry_run: true, ...result } : result;
}

async function changePage(
  items: readonly ExecutionListItem[],
  result: BulkResult,
  work: (item: ExecutionListItem) => Promise<boolean>,
): Promise<void> {
  const left = [...items];
  const turn = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) {
      const { execution_id } = item;
      try {
        if (await work(item)) result.changed += 1;
      } catch (error) {
        if (!(error instanceof EngineError) || error.code === 'unavailable') throw error;
        result.refused.push({ execution_id, code: error.code });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, turn));
}
