/**
 * The reasons why queued steps have not begun yet, as `waiting_for` of the status shows them: by the same decision as in
 * `explain`, without the place in line.
 */
import { queuedReason } from '../../core/explain/queued.ts';
import type { Db } from '../../db/connection/client.ts';
import type { ExecutionDetail, StepDetail } from '../../db/execution-queries.ts';
import { readEngines } from '../../db/explain/engines.ts';
import { createEvaluator } from '../../expression/evaluator.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { WaitBody } from '../execution-answers.ts';
import { readLimits } from '../explain/limits.ts';
import { waitOf } from '../explain/wait-of.ts';
import type { QueueWaits } from './wait-body.ts';

export interface QueuedOf {
  readonly version: TemplateVersion;
  readonly execution: Pick<ExecutionDetail, 'id' | 'workspaceId' | 'inputs'>;
  readonly steps: readonly StepDetail[];
}

/** Only what needs no sandbox is evaluated. */
const { evaluate } = createEvaluator({
  evaluateAll: () => Promise.reject(new Error('Keys of limits are shown as far as they need no sandbox.')),
});

const NONE: QueueWaits = new Map();

/** Returns what each queued step waits for. A step whose limits are not known here is left out. */
export async function readQueueWaits(
  db: Db,
  store: Pick<OutputStore, 'text'>,
  { version, execution, steps }: QueuedOf,
): Promise<QueueWaits> {
  const queued = steps.filter(({ status }) => status === 'queued');
  if (queued.length === 0) return NONE;
  const engines = await readEngines(db);
  const { workspaceId, inputs } = execution;
  const limits = await readLimits({ db, store, evaluate }, { version, workspaceId, inputs, steps: queued });
  const waits = new Map<string, WaitBody>();
  for (const { id, stepTemplateId } of queued) {
    const { type } = version.steps[version.positions.get(stepTemplateId)!]!.step;
    const reason = queuedReason({ type, limits: limits.get(id)!, limit: 0 }, engines, []);
    if (reason.kind === 'hidden_limit') continue;
    const { position: _, ...wait } = waitOf(reason, () => null)!;
    waits.set(id, wait as WaitBody);
  }
  return waits;
}
