/**
 * Starts the reminders of forms.
 */
import type { Config } from '../config/config.ts';
import { FormReminders } from '../maintenance/form-reminders.ts';
import { Mailer } from '../steps/email/mailer.ts';
import type { Log } from '../telemetry/log.ts';
import type { Database } from './database.ts';
import type { StepParts } from './steps.ts';

export interface ReminderParts {
  readonly config: Config;
  readonly database: Database;
  readonly steps: StepParts;
  readonly log: Log;
  onError(error: unknown): void;
}

/** Engines without a worker send none. @returns a function that stops them */
export function startReminders({
  config,
  database,
  steps,
  log,
  onError,
}: ReminderParts): () => Promise<void> {
  if (config.role === 'api') return async () => {};
  const reminders = new FormReminders({
    pool: database.workPool,
    client: steps.httpClient,
    mailer: new Mailer({ server: config.mailServer, sender: config.mailFrom }),
    onFailed: (step_id, err) =>
      log.warn({ step_id, err }, 'A reminder of a form could not be sent; it is tried again in a minute'),
    onError,
  });
  reminders.start();
  return () => reminders.close();
}
