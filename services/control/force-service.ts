/**
 * Ends steps by hand, whatever they do.
 *
 * The view is decided under its lock, so a step that goes on meanwhile is ended all the same.
 */
import type { Act } from '../../core/control/act.ts';
import type { DryRun } from '../../core/control/dry-run.ts';
import { isForceable } from '../../core/control/force.ts';
import { dryRunOf } from '../../core/control/tell-plan.ts';
import type { Event, ForcedResult } from '../../core/event.ts';
import { graphAt } from '../../core/graph.ts';
import type { Plan } from '../../core/plan.ts';
import { EngineError } from '../../core/problem.ts';
import { isFinalStep } from '../../core/status.ts';
import { slotOf, type ViewKey, viewKey } from '../../core/view.ts';
import { isActDone } from '../../db/acts/acts.ts';
import type { Pool } from '../../db/connection/client.ts';
import { newId } from '../../db/uuid.ts';
import type { Caller } from '../caller.ts';
import type { FoundStep, StepAnswerer } from '../steps/answerer.ts';

export interface ForceServiceOptions {
  readonly pool: Pool;
  readonly answerer: StepAnswerer;
  readonly door: { deliver(key: ViewKey, event: Event): Promise<string> };
  /** Decides without writing. */
  readonly rehearsal: { plan(key: ViewKey, event: Event): Promise<Plan | null> };
}

const ACTS = { complete: 'complete', fail: 'fail', skip: 'skip' } as const;
const MAX_RACES = 20;

export class ForceService {
  readonly #options: ForceServiceOptions;

  constructor(options: ForceServiceOptions) {
    this.#options = options;
  }

  /** @throws EngineError when the step or its execution is over */
  async force(
    caller: Caller,
    stepId: string,
    result: ForcedResult,
    isDry: boolean,
  ): Promise<FoundStep | DryRun> {
    const { pool, answerer, door, rehearsal } = this.#options;
    const act: Act = { id: newId(), act: ACTS[result.kind], by: caller.name ?? null, stepId };
    for (let races = 0; races < MAX_RACES; races += 1) {
      const found = await answerer.find(caller, stepId);
      requireForceable(found);
      const { stored, version, position } = found;
      const slot = slotOf(graphAt(version.graphs, position), position);
      const key = viewKey(stored.executionId, stored.scopeId);
      const event: Event = { type: 'force', slot, stepId, result, act };
      if (isDry) {
        const plan = await rehearsal.plan(key, event);
        if (plan !== null && plan.late.length === 0) return dryRunOf([plan]);
        continue;
      }
      // It may have been made by a commit whose answer was lost.
      if ((await door.deliver(key, event)) === 'applied' || (await isActDone(pool, act.id!)))
        return answerer.find(caller, stepId);
    }
    throw new EngineError('unavailable', 'Other changes of the step were always faster; try again.');
  }
}

/** @throws EngineError('wrong_state') when nothing of the step can be ended any more */
function requireForceable({ stored: { id, status, executionId, executionStatus } }: FoundStep): void {
  if (isFinalStep(status))
    throw new EngineError('wrong_state', `Step ${id} is ${status}: only a retry changes what is over.`);
  if (!isForceable({ status: executionStatus })) {
    const message = `Execution ${executionId} is ${executionStatus}: steps are ended by hand while it is running or paused.`;
    throw new EngineError('wrong_state', message);
  }
}
