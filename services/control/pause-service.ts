/**
 * Pauses executions and lets them go on; says what that would do, and what a stop or a cancel would.
 */
import type { DryRun } from '../../core/control/dry-run.ts';
import { dryRunOf } from '../../core/control/tell-plan.ts';
import type { Event } from '../../core/event.ts';
import type { Plan } from '../../core/plan.ts';
import { EngineError } from '../../core/problem.ts';
import { isFinalExecution } from '../../core/status.ts';
import type { ViewKey } from '../../core/view.ts';
import type { Pool } from '../../db/connection/client.ts';
import { type ExecutionState, readStates } from '../../db/execution-queries.ts';
import type { Caller } from '../caller.ts';
import { visible } from '../visible.ts';
import type { DryRunPort, PausePort, PlainAct } from './pause-answers.ts';
import type { ControlledExecution } from './retry-answers.ts';

export interface PauseServiceOptions {
  readonly pool: Pool;
  readonly door: { deliver(key: ViewKey, event: Event): Promise<string> };
  /** Decides without writing. */
  readonly rehearsal: { plan(key: ViewKey, event: Event): Promise<Plan | null> };
}

type Change = 'pause' | 'resume';

/** An execution after a call. */
export interface Changed extends ControlledExecution {
  /** Whether the call has changed it. */
  isChanged: boolean;
}

export class PauseService implements PausePort, DryRunPort {
  readonly #options: PauseServiceOptions;

  constructor(options: PauseServiceOptions) {
    this.#options = options;
  }

  async pause(caller: Caller, executionId: string): Promise<ControlledExecution> {
    return answerOf(await this.change(caller, executionId, 'pause'));
  }

  async resume(caller: Caller, executionId: string): Promise<ControlledExecution> {
    return answerOf(await this.change(caller, executionId, 'resume'));
  }

  /** An event that came too late changed nothing: the state after it says why. */
  async change(caller: Caller, executionId: string, type: Change): Promise<Changed> {
    requireChangeable(await this.#state(caller, executionId), type);
    const act = { act: type, by: caller.name ?? null };
    const delivery = await this.#options.door.deliver(executionId, { type, by: null, act });
    const state = await this.#state(caller, executionId);
    const isChanged = delivery === 'applied';
    if (!isChanged) requireChangeable(state, type);
    return { execution_id: executionId, status: state.status, isChanged };
  }

  async dryRun(caller: Caller, executionId: string, act: PlainAct): Promise<DryRun> {
    const state = await this.#state(caller, executionId);
    if (act === 'pause' || act === 'resume') requireChangeable(state, act);
    if (isFinalExecution(state.status)) return dryRunOf([]);
    const plan = await this.#options.rehearsal.plan(executionId, eventOf(act));
    return dryRunOf(plan === null ? [] : [plan]);
  }

  async #state(caller: Caller, executionId: string): Promise<ExecutionState> {
    const [state] = await readStates(this.#options.pool, [executionId]);
    return visible(caller, 'execution', executionId, state ?? null);
  }
}

function answerOf({ execution_id, status }: Changed): ControlledExecution {
  return { execution_id, status };
}

function eventOf(act: PlainAct): Event {
  return act === 'pause' || act === 'resume' ? { type: act, by: null } : { type: act, reason: null };
}

/** @throws EngineError when the execution is over or about to be, or its parent has paused it */
function requireChangeable({ id, status, stopRequested, pause }: ExecutionState, type: Change): void {
  if (isFinalExecution(status) || status === 'compensating')
    throw new EngineError('wrong_state', `Execution ${id} is ${status}: it cannot be ${type}d.`);
  if (stopRequested)
    throw new EngineError('wrong_state', `Execution ${id} is being stopped: it cannot be ${type}d.`);
  const parentId = pause?.by ?? null;
  if (type === 'resume' && parentId !== null)
    throw new EngineError(
      'paused_by_parent',
      `Execution ${id} was paused with its parent ${parentId}. Resume that one.`,
    );
}
