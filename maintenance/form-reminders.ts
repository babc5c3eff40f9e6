/**
 * Reminds people of forms that wait: by an HTTP call or a mail, at least once each.
 *
 * A reminder that is due is taken by one engine, which puts it off for a minute first: when that engine dies, or nobody can
 * be reached, it is due again then. It never concerns the step, which goes on waiting.
 */
import type { Pool } from '../db/connection/client.ts';
import {
  claimReminders,
  forgetForms,
  type RemindedForm,
  readRemindedForms,
  setNextReminder,
} from '../db/waits/form.ts';
import { Periodic } from '../process/periodic.ts';
import { type FormReminder, formOf } from '../services/forms/form-wait.ts';
import type { Mailer } from '../steps/email/mailer.ts';
import { composeMail } from '../steps/email/message.ts';
import type { HttpClient } from '../steps/http/client.ts';

export interface FormRemindersOptions {
  readonly pool: Pool;
  readonly client: HttpClient;
  readonly mailer: Mailer;
  /** A reminder could not be sent; it is due again in a minute. */
  onFailed(stepId: string, error: unknown): void;
  onError(error: unknown): void;
}

/** What a receiver gets, as JSON. */
interface Told {
  readonly execution_id: string;
  readonly step_id: string;
  readonly title: string;
  readonly assignees: readonly string[];
}

const INTERVAL_MS = 2_000;
const AGAIN_MS = 60_000;
const TIME_LIMIT_MS = 30_000;
const MAX_AT_ONCE = 20;
const MAX_REDIRECTS = 5;
const MAX_SUBJECT_LENGTH = 200;
/** Rounds between two in which forms that are over are forgotten. */
const ROUNDS_UNTIL_FORGOTTEN = 30;
const MAX_FORGOTTEN = 1_000;

export class FormReminders {
  readonly #options: FormRemindersOptions;
  readonly #rounds: Periodic;
  readonly #closing = new AbortController();
  #round = 0;

  constructor(options: FormRemindersOptions) {
    this.#options = options;
    const { onError } = options;
    this.#rounds = new Periodic({ tick: () => this.tick(), intervalMs: INTERVAL_MS, onError });
  }

  start(): void {
    this.#rounds.start(INTERVAL_MS);
  }

  /** Gives up calls that are on their way: they are made again later. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the engine stops'));
    await this.#rounds.close();
  }

  /** Sends what is due. */
  async tick(): Promise<void> {
    const { pool } = this.#options;
    if (this.#round % ROUNDS_UNTIL_FORGOTTEN === 0) await forgetForms(pool, MAX_FORGOTTEN);
    this.#round += 1;
    const due = await claimReminders(pool, AGAIN_MS, MAX_AT_ONCE);
    if (due.length === 0) return;
    const forms = await readRemindedForms(pool, due);
    await Promise.all(forms.map((form) => this.#remind(form)));
  }

  async #remind(found: RemindedForm): Promise<void> {
    const { stepId: step_id, executionId: execution_id, waitingFor } = found;
    const { pool, onFailed } = this.#options;
    const { reminder, title, assignees } = formOf(waitingFor)!;
    if (reminder === null) return;
    try {
      await this.#send(reminder, { execution_id, step_id, title, assignees });
    } catch (error) {
      if (!this.#closing.signal.aborted) onFailed(step_id, error);
      return;
    }
    await setNextReminder(pool, step_id, reminder.every_ms);
  }

  async #send({ url, email }: FormReminder, told: Told): Promise<void> {
    if (url !== null) await this.#call(url, told);
    if (email !== null) await this.#mail(email, told);
  }

  async #call(url: string, told: Told): Promise<void> {
    const { status } = await this.#options.client({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/json', 'user-agent': 'execution-engine' },
      body: JSON.stringify(told),
      timeoutMs: TIME_LIMIT_MS,
      maxRedirects: MAX_REDIRECTS,
      signal: this.#closing.signal,
    });
    if (status < 200 || status > 299) throw new Error(`the receiver answered ${status}`);
  }

  async #mail(to: string, { title, execution_id, step_id, assignees }: Told): Promise<void> {
    const { mailer } = this.#options;
    const subject = `Reminder: ${title.replace(/\s+/g, ' ').slice(0, MAX_SUBJECT_LENGTH)}`;
    const who = assignees.length === 0 ? 'everybody' : assignees.join(', ');
    const text = `A form waits: ${title}\n\nAssigned to: ${who}\nExecution: ${execution_id}\nStep: ${step_id}\n`;
    const mail = composeMail({ to, subject, text }, mailer.settings.sender, `${step_id}-${Date.now()}`);
    await mailer.send(mail, this.#closing.signal);
  }
}
