/**
 * Signals over HTTP: refused while a step waits for another payload, else sent. The consumer brings them to the step.
 */
import { EngineError } from '../core/problem.ts';
import { isFinalExecution } from '../core/status.ts';
import type { Pool } from '../db/connection/client.ts';
import {
  type Reception,
  readReceptions,
  type Signal,
  type SignalsWithoutId,
  sendSignal,
  sendTogether,
} from '../db/waits/sent-signals.ts';
import type { JsonPayload } from '../payload/json-payload.ts';
import type { OutputStore } from '../payload/output-store.ts';
import { Gathered } from '../process/gathered.ts';
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

/** Bounds of the signals that one statement carries. */
const MAX_TOGETHER = 100;
const MAX_BYTES_TOGETHER = 256 * 1024;

export class SignalService implements SignalServicePort {
  readonly #options: SignalServiceOptions;
  readonly #receptions: Gathered<Omit<Signal, 'payload'>, Reception | null>;
  readonly #sent: Gathered<SignalsWithoutId[number], boolean>;

  constructor(options: SignalServiceOptions) {
    this.#options = options;
    const { pool } = options;
    this.#receptions = new Gathered({
      work: (signals) => readReceptions(pool, signals),
      maxItems: MAX_TOGETHER,
      maxSize: MAX_TOGETHER,
      sizeOf: () => 1,
    });
    this.#sent = new Gathered({
      work: async (signals) => {
        const isSent = await sendTogether(pool, signals);
        return signals.map(() => isSent);
      },
      maxItems: MAX_TOGETHER,
      maxSize: MAX_BYTES_TOGETHER,
      sizeOf: ({ payload }) => payload.length,
    });
  }

  async send(caller: Caller, body: SignalBody): Promise<SignalledBody> {
    const { store } = this.#options;
    const { execution_id: executionId, signal: name, signal_id: signalId = null, scope = null } = body;
    const payload = await storable(store, body.payload, '/payload');
    const signal = { executionId, name, signalId, scope };
    const found = visible(caller, 'execution', executionId, await this.#receptions.add(signal));
    if (!found.isKnown && !isFinalExecution(found.status)) await this.#refuseMisfit(found, payload);
    const isNew = await this.#send({ ...signal, payload: payload.json });
    const kept = isNew && found.taker === null;
    return { execution_id: executionId, status: found.status, duplicate: !isNew, kept };
  }

  /**
   * Sends the signal, together with others that have no id: those wait for no other transaction that sends the same id.
   * Returns false when the execution has its id already.
   */
  async #send({ signalId, ...signal }: Signal): Promise<boolean> {
    const isSent = signalId === null && (await this.#sent.add({ ...signal, signalId }));
    return isSent || sendSignal(this.#options.pool, { ...signal, signalId });
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
