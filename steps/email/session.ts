/**
 * A connection to a mail server, on which mails are sent one after the other.
 *
 * Invariant: every call ends: with the server's answer, with the fault of the connection, or when the session is
 * destroyed. A session with a fault is never used again.
 */
import { connect, type Socket } from 'node:net';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import { onDemand } from '../../process/module-on-demand.ts';
import type { Mail } from './message.ts';
import { type SmtpServer, serverName } from './smtp-server.ts';

/** What nodemailer reports; a reply of the server has a code. */
export interface SmtpError extends Error {
  readonly code?: string;
  readonly command?: string;
  readonly response?: string;
  readonly responseCode?: number;
  /** Of each recipient, when all are refused. */
  readonly rejectedErrors?: readonly SmtpError[];
}

/** A recipient that the server refused while it took the mail for others. */
export interface RefusedRecipient {
  readonly address: string;
  readonly response: string;
}

const smtpConnection = onDemand<typeof SMTPConnection>('nodemailer/lib/smtp-connection');

type Done<T> = (error: Error | null | undefined, value?: T) => void;

const CONNECT_MS = 15_000;
const GREETING_MS = 30_000;
/** Without a byte from the server. */
const SILENCE_MS = 60_000;
const QUIT_MS = 1_000;

export class SmtpSession {
  readonly #server: SmtpServer;
  readonly #socket: Socket;
  readonly #connection: SMTPConnection;
  #fault: Error | null = null;
  #reject: ((fault: Error) => void) | null = null;

  constructor(server: SmtpServer) {
    const { host, port, secure, requireTls, ignoreTls, verify } = server;
    this.#server = server;
    this.#socket = connect({ host, port, keepAlive: true });
    this.#socket.on('error', (fault) => this.#end(fault));
    const name = serverName(server);
    this.#connection = new (smtpConnection())({
      host,
      port,
      secure,
      requireTLS: requireTls,
      ignoreTLS: ignoreTls,
      tls: { rejectUnauthorized: verify, ...(name === '' ? {} : { servername: name }) },
      connection: this.#socket,
      connectionTimeout: CONNECT_MS,
      greetingTimeout: GREETING_MS,
      socketTimeout: SILENCE_MS,
    });
    this.#connection.on('error', (fault) => this.#end(fault));
    this.#connection.on('end', () => this.#end(new Error('the mail server ended the connection')));
  }

  get isUsable(): boolean {
    return this.#fault === null;
  }

  /** Connects, changes to TLS and signs in, as the server's URL says. */
  async open(): Promise<void> {
    const { login } = this.#server;
    await this.#ask((done) => this.#socket.once('connect', () => done(null)));
    await this.#ask((done) => this.#connection.connect(done));
    if (login !== null) await this.#ask((done) => this.#connection.login({ ...login }, done));
  }

  /** Asks the server to forget what came before: the connection may have ended since. */
  async reset(): Promise<void> {
    await this.#ask((done) => this.#connection.reset(done));
  }

  async send({ from, to, open }: Mail): Promise<RefusedRecipient[]> {
    const sent = await this.#ask<SMTPConnection.SentMessageInfo>((done) =>
      this.#connection.send({ from, to: [...to] }, open(), done),
    );
    const errors = (sent.rejectedErrors ?? []) as (SmtpError & { readonly recipient?: string })[];
    return errors.map(({ recipient, response, message }) => ({
      address: String(recipient),
      response: response ?? message,
    }));
  }

  /** Takes leave of the server. */
  quit(): void {
    if (this.isUsable) this.#connection.quit();
    setTimeout(() => this.destroy(), QUIT_MS).unref();
  }

  destroy(reason: Error = new Error('the connection was given up')): void {
    this.#end(reason);
    this.#connection.close();
    this.#socket.destroy();
  }

  #ask<T>(begin: (done: Done<T>) => unknown): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#fault !== null) {
        reject(this.#fault);
        return;
      }
      this.#reject = reject;
      begin((error, value) => (error ? reject(error) : resolve(value as T)));
    });
  }

  #end(fault: Error): void {
    this.#fault ??= fault;
    this.#reject?.(this.#fault);
  }
}
