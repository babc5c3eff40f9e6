/**
 * Judges answers to forms: who may answer, whether the output fits, and what the decisions come to.
 *
 * A judgement is of the step as it was read. When somebody else was faster, it is made anew (services/steps/answerer.ts): so
 * decisions on several engines are counted right.
 */
import type { AnswerResult, WaitingFor } from '../../core/event.ts';
import { type Decision, type Refusal, refusalOf, verdictOf } from '../../core/forms/decisions.ts';
import type { Json } from '../../core/json/json.ts';
import { EngineError } from '../../core/problem.ts';
import type { RequestProblem } from '../../core/problem-code.ts';
import type { JsonPayload } from '../../payload/json-payload.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import { type AnswerChecker, answerSchema } from '../../template/input-checker.ts';
import type { FoundStep } from '../steps/answerer.ts';
import type { CompleteBody, FailBody } from '../steps/answers.ts';
import { storable } from '../storable.ts';
import type { FormWait } from './form-wait.ts';

export interface FormJudgeOptions {
  readonly store: OutputStore;
  readonly answers: AnswerChecker;
}

const REJECTED = 'The form was rejected.';
const MAX_MESSAGE_LENGTH = 10_000;

export class FormJudge {
  readonly #options: FormJudgeOptions;

  constructor(options: FormJudgeOptions) {
    this.#options = options;
  }

  /** @param output what the body has as its output @throws EngineError */
  async complete(
    step: FoundStep,
    form: FormWait,
    body: CompleteBody,
    output: JsonPayload,
  ): Promise<AnswerResult> {
    const { quorum } = form;
    if (quorum === null && body.decision !== undefined)
      throw refused(
        '/decision',
        'unknown_field',
        'The form has no quorum: it takes an output, and no decision.',
      );
    if (quorum !== null && body.decision === undefined)
      throw refused('/decision', 'required', 'The form has a quorum: decision is approve or reject.');
    this.#requirePerson(step, form, body.user_id);
    if (body.decision !== 'reject') await this.#requireFitting(step, body, output);
    return quorum === null ? { output } : this.#decided(step, { ...form, quorum }, body, output);
  }

  /** @throws EngineError */
  fail(step: FoundStep, form: FormWait, body: FailBody): AnswerResult {
    if (form.quorum !== null) {
      const message = 'The form has a quorum: send decision reject to .../complete.';
      throw refused('', 'not_allowed', message);
    }
    this.#requirePerson(step, form, body.user_id);
    const message = this.#options.store.text(body.error?.message || REJECTED, MAX_MESSAGE_LENGTH);
    const details = { user_id: body.user_id ?? null };
    return { error: { code: 'rejected', message, details }, retryable: false };
  }

  async #decided(
    { stored }: FoundStep,
    form: FormWait & { readonly quorum: NonNullable<FormWait['quorum']> },
    body: CompleteBody,
    output: JsonPayload,
  ): Promise<AnswerResult> {
    const { store } = this.#options;
    const vote: Decision = {
      user_id: body.user_id ?? null,
      decision: body.decision!,
      comment: body.comment === undefined ? null : store.text(body.comment, MAX_MESSAGE_LENGTH),
      at: stored.readAt.toISOString(),
    };
    const decisions = [...form.decisions, vote];
    const verdict = verdictOf(form.quorum, decisions);
    if (verdict === null) return { waitingFor: { ...form, decisions } as unknown as WaitingFor };
    if (verdict === 'reject') return rejected(decisions);
    const ended = { decision: verdict, decisions, output: output.value };
    return { output: await storable(store, ended, '/output') };
  }

  #requirePerson({ stored }: FoundStep, form: FormWait, userId: string | undefined): void {
    // A key has no roles: those are in the token of a user.
    const person = { userId: userId ?? null, roles: [] };
    const refusal = refusalOf(form, form.decisions, person, stored.userId);
    if (refusal !== null) throw refusalError(refusal);
  }

  async #requireFitting(
    { version, position }: FoundStep,
    { output: given }: CompleteBody,
    output: JsonPayload,
  ): Promise<void> {
    if (answerSchema(version, position) === null) return;
    if (given === undefined)
      throw refused('/output', 'required', 'The form has a schema: output is missing.');
    const { json, value } = output;
    const faults = await this.#options.answers.checkAnswer(version, position, { json, value });
    if (faults.length === 0) return;
    throw new EngineError(
      'validation_failed',
      `The output does not fit the schema of the form: ${faults[0]!.message}`,
      faults.map(({ pointer, message }) => ({ pointer: `/output${pointer}`, code: 'invalid', message })),
    );
  }
}

function rejected(decisions: readonly Decision[]): AnswerResult {
  const details = { decisions: decisions as unknown as Json };
  return { error: { code: 'rejected', message: REJECTED, details }, retryable: false };
}

const REFUSALS: Readonly<Record<Refusal, () => EngineError>> = {
  user_missing: () => refused('/user_id', 'required', 'The form asks who answers: user_id is missing.'),
  not_assigned: () => new EngineError('forbidden', 'The form is assigned to others.'),
  own_execution: () =>
    new EngineError('forbidden', 'The user who started the execution may not answer this form.'),
  already_decided: () =>
    new EngineError('already_decided', 'This user has decided already; a decision stays.'),
};

function refusalError(refusal: Refusal): EngineError {
  return REFUSALS[refusal]();
}

function refused(pointer: string, code: RequestProblem, message: string): EngineError {
  return new EngineError('validation_failed', message, [{ pointer, code, message }]);
}
