/**
 * Sends mails to one server, over a few connections that are kept for a while.
 *
 * 1. A mail that was given up before its turn is never sent.
 * 2. No server makes a mail take longer than the time limit: the connection is cut then.
 * 3. It throws StepFailure, or the reason of the caller's signal.
 */
import { startDeadline } from '../http/deadline.ts';
import { StepFailure } from '../step-type.ts';
import type { Mail } from './message.ts';
import { type RefusedRecipient, type SmtpError, SmtpSession } from './session.ts';
import type { MailSettings, SmtpServer } from './smtp-server.ts';
import { Turns } from './turns.ts';

const MAX_CONNECTIONS = 5;
/** From the turn of a mail to the server's last answer. */
const TIME_LIMIT_MS = 120_000;
const MAX_IDLE_MS = 5_000;

export class Mailer {
  readonly settings: MailSettings;
  readonly #turns = new Turns(MAX_CONNECTIONS);
  readonly #idle: SmtpSession[] = [];
  #idleTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(settings: MailSettings) {
    this.settings = settings;
  }

  /** Returns the recipients that the server refused, when it took the mail for others. */
  async send(mail: Mail, signal: AbortSignal): Promise<readonly RefusedRecipient[]> {
    const { server } = this.settings;
    if (server === null) {
      const message = 'There is no mail server: set EXECUTION_ENGINE_SMTP_URL and start the engine again.';
      throw new StepFailure('not_configured', message);
    }
    await this.#turns.take(signal);
    const deadline = startDeadline(signal, TIME_LIMIT_MS);
    try {
      return await this.#deliver(server, mail, deadline.signal);
    } catch (error) {
      throw deadline.signal.aborted ? deadline.signal.reason : smtpFailure(error as SmtpError, server);
    } finally {
      deadline.end();
      this.#turns.give();
    }
  }

  async #deliver(server: SmtpServer, mail: Mail, signal: AbortSignal): Promise<readonly RefusedRecipient[]> {
    const kept = await this.#kept(signal);
    const session = kept ?? new SmtpSession(server);
    try {
      return await during(session, signal, async () => {
        if (kept === null) await session.open();
        return await session.send(mail);
      });
    } catch (error) {
      session.destroy();
      throw error;
    } finally {
      if (session.isUsable) this.#keep(session);
    }
  }

  /** Returns a connection that is there and answers; null: a new one is needed. */
  async #kept(signal: AbortSignal): Promise<SmtpSession | null> {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      const found = session;
      try {
        await during(found, signal, () => found.reset());
        return found;
      } catch {
        found.destroy();
        signal.throwIfAborted();
      }
    }
    return null;
  }

  #keep(session: SmtpSession): void {
    this.#idle.push(session);
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      for (const kept of this.#idle.splice(0)) kept.quit();
    }, MAX_IDLE_MS);
    this.#idleTimer.unref();
  }
}

/** Uses a session until the signal fires, which cuts its connection. */
async function during<T>(session: SmtpSession, signal: AbortSignal, use: () => Promise<T>): Promise<T> {
  const cut = () => session.destroy(signal.reason);
  if (signal.aborted) cut();
  signal.addEventListener('abort', cut, { once: true });
  try {
    return await use();
  } finally {
    signal.removeEventListener('abort', cut);
  }
}

/** The server's refusals for now (4xx) and everything that is no answer of it may be tried again. */
function smtpFailure(error: SmtpError, { host, port }: SmtpServer): StepFailure {
  const { code = null, command = null, response, responseCode, message, rejectedErrors = [] } = error;
  if (responseCode === undefined && code !== 'EAUTH') {
    return new StepFailure('smtp_network_error', `${host}:${port}: ${message}`, {
      retryable: true,
      details: { reason: code },
      cause: error,
    });
  }
  const codes = [responseCode, ...rejectedErrors.map((one) => one.responseCode)];
  const said = response ?? message;
  return new StepFailure('smtp_refused', `The mail server refused the mail (${command}): ${said}`, {
    retryable: codes.some((one) => one !== undefined && one < 500),
    details: { status: responseCode ?? null, command, response: said },
  });
}
