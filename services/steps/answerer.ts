/**
 * Ends waits of steps with answers of the outside, whichever engine holds their execution.
 *
 * A wait is named by the attempt and the sequence of its step. An answer that comes late may have met an old view, or may
 * have been committed by a commit whose own answer was lost: the row is read again, and has the id of the answer that
 * counted.
 */
import { isForceable } from '../../core/control/force.ts';
import type { AnswerResult, Event } from '../../core/event.ts';
import { graphAt } from '../../core/graph.ts';
import { EngineError } from '../../core/problem.ts';
import { isFinalStep } from '../../core/status.ts';
import { slotOf, type ViewKey, viewKey } from '../../core/view.ts';
import type { Pool } from '../../db/connection/client.ts';
import { newId } from '../../db/uuid.ts';
import { readStep, type StoredStep } from '../../db/waits/step.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Caller } from '../caller.ts';
import { visible } from '../visible.ts';

export interface AnswererOptions {
  readonly pool: Pool;
  readonly door: { deliver(key: ViewKey, event: Event): Promise<string> };
  readonly versions: Pick<TemplateVersions, 'get'>;
}

/** A step with the version of its execution's template. */
export interface FoundStep {
  readonly stored: StoredStep;
  readonly version: TemplateVersion;
  readonly position: number;
}

/** Returns the answer to a step as it is now. @throws EngineError when the step takes none */
export type Judge = (step: FoundStep) => AnswerResult | Promise<AnswerResult>;

/** Every race lost is one that another transition of the same step has won. */
const MAX_RACES = 20;

export class StepAnswerer {
  readonly #options: AnswererOptions;

  constructor(options: AnswererOptions) {
    this.#options = options;
  }

  /** @throws EngineError('step_not_found') */
  async find(caller: Caller, stepId: string, withOutputs = false): Promise<FoundStep> {
    const { pool, versions } = this.#options;
    const stored = visible(caller, 'step', stepId, await readStep(pool, stepId, withOutputs));
    const version = await versions.get(pool, stored.templateId);
    const position = version.positions.get(stored.stepTemplateId);
    if (position === undefined)
      throw new EngineError('wrong_state', `Step ${stepId} belongs to another template than its execution.`);
    return { stored, version, position };
  }

  /** Answers a step once. `judge` looks at the step anew after each lost race. Returns the step as it is then. */
  async answer(caller: Caller, stepId: string, judge: Judge): Promise<FoundStep> {
    const id = newId();
    for (let races = 0; races < MAX_RACES; races += 1) {
      const step = await this.find(caller, stepId);
      if (step.stored.answerId === id) return step;
      const result = await judge(step);
      if ((await this.#deliver(step, id, result)) === 'applied') return this.find(caller, stepId);
    }
    throw new EngineError('unavailable', 'Other changes of the step were always faster; try again.');
  }

  #deliver({ stored, version, position }: FoundStep, id: string, result: AnswerResult) {
    const { id: stepId, executionId, scopeId, attempt, sequence } = stored;
    const slot = slotOf(graphAt(version.graphs, position), position);
    const random = Math.random();
    const event = { type: 'answer', slot, stepId, attempt, sequence, id, result, random } as const;
    return this.#options.door.deliver(viewKey(executionId, scopeId), event);
  }
}

/** @throws EngineError unless the step waits for an answer of one of these kinds */
export function requireWaiting(found: FoundStep, kinds: readonly string[]): void {
  const { id, status, waitingFor } = found.stored;
  const kind = waitingFor?.kind ?? 'timer';
  if (status === 'waiting' && kinds.includes(kind)) return;
  const needed = `this call needs one that waits for a ${kinds.join(', ')}`;
  if (isFinalStep(status)) throw new EngineError('wrong_state', `Step ${id} is ${status}; ${needed}.`);
  throw forceRequired(found, needed);
}

/** The refusal of a call on a step that goes on. */
export function forceRequired({ stored }: FoundStep, needed: string): EngineError {
  const { id, status, waitingFor, executionStatus } = stored;
  const state = status === 'waiting' ? `waits for a ${waitingFor?.kind ?? 'timer'}` : `is ${status}`;
  const code = isForceable({ status: executionStatus }) ? 'force_required' : 'wrong_state';
  return new EngineError(code, `Step ${id} ${state}; ${needed}. With force: true it is ended all the same.`);
}
