/**
 * Retries executions that are over.
 *
 * A retry is judged first, on views that are thrown away. It is made at the same sequence of the execution or not at all: then
 * it is judged anew.
 */
import type { Act } from '../../core/control/act.ts';
import type { DryRun } from '../../core/control/dry-run.ts';
import { dryRunOf } from '../../core/control/tell-plan.ts';
import type { Event } from '../../core/event.ts';
import type { Plan } from '../../core/plan.ts';
import { EngineError } from '../../core/problem.ts';
import { isFinalStep } from '../../core/status.ts';
import type { ViewKey } from '../../core/view.ts';
import { isActDone } from '../../db/acts/acts.ts';
import type { Pool } from '../../db/connection/client.ts';
import { readHalfUndone, readParentStep } from '../../db/control/retried.ts';
import { readStates } from '../../db/execution-queries.ts';
import { newId } from '../../db/uuid.ts';
import type { Delivery } from '../../door/actor.ts';
import type { Stages } from '../../door/control/stage.ts';
import type { JsonPayload } from '../../payload/json-payload.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import type { Caller } from '../caller.ts';
import { storable } from '../storable.ts';
import { visible } from '../visible.ts';
import { type AskedView, askedViews } from './asked-view.ts';
import { type JudgedRepair, RepairMaker, type Storable } from './repairs.ts';
import type { ControlledExecution, RetryBody, RetryServicePort } from './retry-answers.ts';

export interface RetryServiceOptions {
  readonly pool: Pool;
  readonly door: { deliver(key: ViewKey, event: Event, inside?: readonly Plan[]): Promise<Delivery> };
  /** Judges without writing. */
  readonly rehearsal: Stages;
  readonly store: OutputStore;
}

/** Every race lost is one that another change of the execution has won. */
const MAX_RACES = 20;

export class RetryService implements RetryServicePort {
  readonly #options: RetryServiceOptions;

  constructor(options: RetryServiceOptions) {
    this.#options = options;
  }

  async retry(caller: Caller, body: RetryBody): Promise<ControlledExecution | DryRun> {
    const { execution_id: id, dry_run: isDry = false } = body;
    const asked = askedViews(body);
    await this.#state(caller, id);
    const outputs = await this.#storable(asked);
    const act = actOf(caller, body);
    for (let races = 0; races < MAX_RACES; races += 1) {
      const judged = await this.#judge(id, asked, outputs, act);
      if (judged === null) return this.#state(caller, id);
      if (isDry) return dryRunOf([judged.plan, ...judged.inside], judged.warnings);
      const { repair, sequence, inside } = judged;
      const event: Event = { type: 'repair', repair, sequence, act };
      const delivery = await this.#options.door.deliver(id, event, inside);
      // It may have been made by a commit whose answer was lost.
      if (delivery === 'applied' || (await isActDone(this.#options.pool, act.id!)))
        return this.#state(caller, id);
    }
    throw new EngineError('unavailable', 'Other changes of the execution were always faster; try again.');
  }

  async #judge(id: string, asked: AskedView, outputs: Storable, act: Act): Promise<JudgedRepair | null> {
    return this.#options.rehearsal.run(async (stage) => {
      const parent = await readParentStep(stage.tx, id);
      if (parent !== null && isFinalStep(parent.status)) {
        const message = `The step that waited for it is ${parent.status}: retry its execution, ${parent.executionId}.`;
        throw new EngineError('parent_step_final', message);
      }
      const maker = new RepairMaker(stage, outputs, act);
      const judged = await maker.make(id, asked);
      const halfUndone = await readHalfUndone(stage.tx, id);
      if (halfUndone.length === 0) return judged;
      const message = `Nobody knows whether these steps are undone, as their compensation did not complete: ${halfUndone.join(', ')}.`;
      throw new EngineError('not_compensated', message);
    });
  }

  /** Returns the outputs by their place in the request. @throws EngineError('not_storable') */
  async #storable({ outputs, inside }: AskedView): Promise<Map<string, JsonPayload>> {
    const all = new Map<string, JsonPayload>();
    for (const { value, pointer } of outputs.values())
      all.set(pointer, await storable(this.#options.store, value, pointer));
    for (const { asked } of inside.values())
      for (const [pointer, payload] of await this.#storable(asked)) all.set(pointer, payload);
    return all;
  }

  async #state(caller: Caller, id: string): Promise<ControlledExecution> {
    const [state] = await readStates(this.#options.pool, [id]);
    const { status } = visible(caller, 'execution', id, state ?? null);
    return { execution_id: id, status };
  }
}

/** What was asked for is kept, but not the outputs. */
function actOf(caller: Caller, { from, only, outputs, skip }: RetryBody): Act {
  const named = Object.keys(outputs ?? {});
  const detail = {
    ...(from === undefined ? {} : { from }),
    ...(only === undefined ? {} : { only }),
    ...(named.length === 0 ? {} : { outputs: named }),
    ...(skip === undefined || skip.length === 0 ? {} : { skip }),
  };
  const act = { id: newId(), act: 'retry', by: caller.name ?? null } as const;
  return Object.keys(detail).length === 0 ? act : { ...act, detail };
}
