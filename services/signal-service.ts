/**
 * Signals over HTTP: refused while a step waits for another payload, else sent. The consumer brings them to the step.
 */
import { EngineError } from '../core/problem.ts';
import { isFinalExecution } from '../core/status.ts';
import type { Pool } from '../db/connection/client.ts';
import { type Reception, readReception, sendSignal } from '../db/waits/signals.ts';
import type { JsonPayload } from '../payload/json-payload.ts';
import type { OutputStore } from '../payload/output-store.ts';
import type { AnswerChecker } from '../template/input-checker.ts';
import type { TemplateVersions } from '../template/versions.ts';
import type { Caller } from './caller.ts';
import type { SignalBody, SignalledBody, SignalServicePort } from './signal-answers.ts';
import { storable } from './storable.ts';
import { visible } from './visible.ts';

export interface SignalServiceOptions {
  readonly pool: Pool;
  readonly versions: Pick<TemplateVersions, 'get'>;
  readonly answers: AnswerChecker;
  readonly store: OutputStore;
}

export class SignalService implements SignalServicePort {
  readonly #options: SignalServiceOptions;

  constructor(options: SignalServiceOptions) {
    this.#options = options;
  }

  async send(caller: Caller, body: SignalBody): Promise<SignalledBody> {
    const { pool, store } = this.#options;
    const { execution_id: executionId, signal: name, signal_id: signalId = null, scope = null } = body;
    const payload = await storable(store, body.payload, '/payload');
    const signal = { executionId, name, signalId, scope };
    const found = visible(caller, 'execution', executionId, await readReception(pool, signal));
    if (!found.isKnown && !isFinalExecution(found.status)) await this.#refuseMisfit(found, payload);
    const isNew = await sendSignal(pool, { ...signal, payload: payload.json });
    return { execution_id: executionId, status: found.status, duplicate: !isNew };
  }

  /** @throws EngineError('validation_failed') when the step that would take the signal wants another payload */
  async #refuseMisfit({ templateId, taker }: Reception, payload: JsonPayload): Promise<void> {
    if (taker === null) return;
    const version = await this.#options.versions.get(this.#options.pool, templateId);
    const position = version.positions.get(taker);
    if (position === undefined) return;
    const faults = await this.#options.answers.checkAnswer(version, position, payload);
    if (faults.length === 0) return;
    const problems = faults.map(({ pointer, message }) => ({
      pointer: `/payload${pointer}`,
      code: 'invalid' as const,
      message,
    }));
    const { key } = version.steps[position]!.step;
    throw new EngineError(
      'validation_failed',
      `The payload does not match the schema of the step "${key}", which waits for the signal.`,
      problems,
    );
  }
}
