/**
 * A real SMTP server on loopback, to send mails to from tests. `await using` closes it with all its connections.
 */
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** The lines of the head and the body, as they arrived. */
  readonly text: string;
  /** By name in lower case; folded lines are joined. */
  readonly headers: Readonly<Record<string, string>>;
  readonly secure: boolean;
  readonly user: string | null;
}

export interface SmtpPeer extends AsyncDisposable {
  readonly port: number;
  /** `smtp://127.0.0.1:<port>` */
  readonly url: string;
  /** In the order of their arrival. */
  readonly mails: ReceivedMail[];
  /** Connections that were made so far. */
  connections(): number;
}

/** The answer of a stage: a number is a refusal with that status. */
export interface SmtpBehaviour {
  /** To a recipient. */
  readonly recipient?: (address: string) => number | null;
  /** To a whole message. */
  readonly message?: (
    mail: ReceivedMail,
    session: SMTPServerSession,
  ) => number | null | Promise<number | null>;
}

export async function smtpPeer(
  { recipient = () => null, message = () => null }: SmtpBehaviour = {},
  options: SMTPServerOptions = {},
): Promise<SmtpPeer> {
  const mails: ReceivedMail[] = [];
  let connections = 0;
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    closeTimeout: 1,
    logger: false,
    onConnect: (_session, done) => {
      connections += 1;
      done();
    },
    onRcptTo: ({ address }, _session, done) => done(refusal(recipient(address))),
    onData: async (stream, session, done) => {
      const mail = receivedMail(await buffer(stream), session);
      const status = await message(mail, session);
      if (status === null) mails.push(mail);
      done(refusal(status));
    },
    ...options,
  });
  // A client that hangs up is one of the cases.
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  return {
    port,
    url: `${options.secure ? 'smtps' : 'smtp'}://127.0.0.1:${port}`,
    mails,
    connections: () => connections,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

function refusal(status: number | null): Error | null {
  return status === null ? null : Object.assign(new Error(`refused for the test`), { responseCode: status });
}

function receivedMail(bytes: Buffer, { envelope, secure, user }: SMTPServerSession): ReceivedMail {
  const text = bytes.toString('utf8');
  const head = text.slice(0, text.indexOf('\r\n\r\n')).replace(/\r\n[ \t]+/g, ' ');
  const headers = head.split('\r\n').map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address;
  const to = envelope.rcptTo.map(({ address }) => address);
  return { from, to, text, headers: Object.fromEntries(headers), secure, user: user ?? null };
}
