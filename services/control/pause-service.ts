/**
 * Pauses executions and lets them go on.
 */
import type { Event } from '../../core/event.ts';
import { EngineError } from '../../core/problem.ts';
import { isFinalExecution } from '../../core/status.ts';
import type { ViewKey } from '../../core/view.ts';
import type { Pool } from '../../db/connection/client.ts';
import { type ExecutionState, readStates } from '../../db/execution-queries.ts';
import type { Caller } from '../caller.ts';
import { visible } from '../visible.ts';
import type { ControlledBody, PausePort } from './pause-answers.ts';

export interface PauseServiceOptions {
  readonly pool: Pool;
  readonly door: { deliver(key: ViewKey, event: Event): Promise<string> };
}

type Change = 'pause' | 'resume';

export class PauseService implements PausePort {
  readonly #options: PauseServiceOptions;

  constructor(options: PauseServiceOptions) {
    this.#options = options;
  }

  pause(caller: Caller, executionId: string): Promise<ControlledBody> {
    return this.#change(caller, executionId, 'pause');
  }

  resume(caller: Caller, executionId: string): Promise<ControlledBody> {
    return this.#change(caller, executionId, 'resume');
  }

  /** An event that came too late changed nothing: the state after it says why. */
  async #change(caller: Caller, executionId: string, type: Change): Promise<ControlledBody> {
    requireChangeable(await this.#state(caller, executionId), type);
    const act = { act: type, by: caller.name ?? null };
    const delivery = await this.#options.door.deliver(executionId, { type, by: null, act });
    const state = await this.#state(caller, executionId);
    if (delivery !== 'applied') requireChangeable(state, type);
    return { execution_id: executionId, status: state.status };
  }

  async #state(caller: Caller, executionId: string): Promise<ExecutionState> {
    const [state] = await readStates(this.#options.pool, [executionId]);
    return visible(caller, 'execution', executionId, state ?? null);
  }
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
