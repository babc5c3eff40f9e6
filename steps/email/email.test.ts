/** The step against a real SMTP server. */
import { describe, expect, test } from 'bun:test';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Json, JsonObject } from '../../core/json/json.ts';
import { selfSigned } from '../../tests/support/certificate.ts';
import { failureOf } from '../../tests/support/http-peer.ts';
import { type SmtpPeer, smtpPeer } from '../../tests/support/mail/smtp-peer.ts';
import { stepContext } from '../../tests/support/step-context.ts';
import type { StepContext, StepFailure } from '../step-type.ts';
import { parseAddress } from './address.ts';
import { createEmail } from './email.ts';
import { Mailer } from './mailer.ts';
import type { EmailParams } from './message.ts';
import { readSmtpUrl, type SmtpServer } from './smtp-server.ts';

const SENDER = parseAddress('Flows <flows@engine.example>')!;
const MAIL: EmailParams = { to: 'ada@example.com', subject: 'Hello', text: 'Good morning' };
const certificate = await selfSigned();

function step(url: string | null, sender = SENDER as typeof SENDER | null) {
  return createEmail(new Mailer({ server: url === null ? null : (readSmtpUrl(url) as SmtpServer), sender }));
}

/** As a definition has them. */
function written(params: Partial<EmailParams>): JsonObject {
  return { ...MAIL, ...params } as unknown as JsonObject;
}

type Sent = { messageId: string; rejected?: Json };

async function send(
  to: SmtpPeer | ReturnType<typeof step>,
  params: Partial<EmailParams> = {},
  rest: Partial<StepContext> = {},
): Promise<Sent> {
  const email = 'run' in to ? to : step(to.url);
  const context = { ...rest, params: { ...MAIL, ...params } } as Partial<StepContext<EmailParams>>;
  return (await email.run(stepContext(context))) as Sent;
}

const failure = async (promise: Promise<unknown>) => (await failureOf(promise)) as unknown as StepFailure;

/** A TCP server that speaks for itself. */
async function rawPeer(answer: (socket: Socket, line: string | null) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    answer(socket, null);
    socket.on('data', (data) => {
      for (const line of data.toString().split('\r\n').filter(Boolean)) answer(socket, line);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets,
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

describe('a mail', () => {
  test('arrives as it was given', async () => {
    await using peer = await smtpPeer();
    const { messageId, rejected } = await send(peer, {
      to: ['ada@example.com', 'Bob <bob@example.com>'],
      cc: 'carl@example.com',
      bcc: 'dora@example.com',
      replyTo: 'Help <help@engine.example>',
      subject: 'Größe 42',
      text: 'Good morning,\n.\nand good night',
    });
    expect(rejected).toBeUndefined();
    const [mail] = peer.mails;
    expect(mail).toMatchObject({
      from: 'flows@engine.example',
      to: ['ada@example.com', 'bob@example.com', 'carl@example.com', 'dora@example.com'],
      secure: false,
    });
    expect(mail!.headers).toMatchObject({
      from: 'Flows <flows@engine.example>',
      to: 'ada@example.com, Bob <bob@example.com>',
      cc: 'carl@example.com',
      'reply-to': 'Help <help@engine.example>',
      'auto-submitted': 'auto-generated',
      'message-id': messageId,
    });
    expect(mail!.headers.subject).toStartWith('=?UTF-8?');
    expect(mail!.headers.bcc).toBeUndefined();
    expect(mail!.text).not.toContain('dora');
    expect(mail!.text).toEndWith('Good morning,\r\n.\r\nand good night\r\n');
  });

  test('has the same Message-ID in all attempts, and another one for another step', async () => {
    await using peer = await smtpPeer();
    const email = step(peer.url);
    const ids = [];
    for (const [idempotencyKey, attempt] of [
      ['a', 1],
      ['a', 2],
      ['b', 1],
      ['x@y>\r\n', 1],
    ] as const)
      ids.push((await send(email, {}, { idempotencyKey, attempt })).messageId);
    expect(ids.slice(0, 3)).toEqual(['<a@engine.example>', '<a@engine.example>', '<b@engine.example>']);
    expect(ids[3]).toMatch(/^<[0-9a-f]{64}@engine\.example>$/);
    expect(peer.mails.map(({ headers }) => headers['message-id'])).toEqual(ids);
  });

  test('carries text, HTML and attachments byte by byte', async () => {
    await using peer = await smtpPeer();
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7) % 256));
    await send(peer, {
      html: '<p>Good <b>morning</b></p>',
      text: 'x'.repeat(40_000),
      attachments: [
        { filename: 'résumé.bin', content: bytes.toString('base64'), contentType: 'application/x-own' },
        { filename: 'note.txt', content: 'plain text, ünïcode', encoding: 'text' },
        { filename: 'pixel.png', content: Buffer.from('png').toString('base64'), cid: 'pixel' },
        { filename: 'empty.txt', content: '' },
      ],
    });
    const text = peer.mails[0]!.text;
    const flat = text.replaceAll('\r\n', '');
    expect(flat).toContain(bytes.toString('base64'));
    expect(flat).toContain(Buffer.from('plain text, ünïcode').toString('base64'));
    expect(flat).toContain(Buffer.from('x'.repeat(40_000)).toString('base64'));
    expect(text).toContain('Content-ID: <pixel>');
    expect(text).toContain('application/x-own');
  });

  test('goes over a connection that is there already', async () => {
    await using peer = await smtpPeer();
    const email = step(peer.url);
    for (let count = 0; count < 3; count += 1) await send(email);
    expect(peer.mails).toHaveLength(3);
    expect(peer.connections()).toBe(1);
  });

  test('goes over a new connection when the old one is gone', async () => {
    await using first = await rawPeer((socket, line) => {
      if (line === null) socket.write('220 hello\r\n');
      else if (line.startsWith('EHLO')) socket.write('250 hello\r\n');
      else if (line === '.') socket.end('250 taken\r\n');
      else if (line === 'DATA') socket.write('354 go on\r\n');
      else if (/^(MAIL|RCPT)/.test(line)) socket.write('250 ok\r\n');
    });
    const email = step(first.url);
    await send(email);
    await send(email);
    expect(first.sockets.size).toBe(2);
  });

  test('of many at once uses a few connections, and each arrives once', async () => {
    await using peer = await smtpPeer();
    const email = step(peer.url);
    const keys = Array.from({ length: 40 }, (_, at) => `key-${at}`);
    await Promise.all(keys.map((idempotencyKey) => send(email, {}, { idempotencyKey })));
    const arrived = peer.mails.map(({ headers }) => headers['message-id']).sort();
    expect(arrived).toEqual(keys.map((key) => `<${key}@engine.example>`).sort());
    expect(peer.connections()).toBeLessThanOrEqual(5);
  });
});

describe('the sender', () => {
  test.each(['billing@engine.example', 'Billing <billing@ENGINE.example>'])('may be %s', async (from) => {
    await using peer = await smtpPeer();
    await send(peer, { from });
    expect(peer.mails[0]!.from.toLowerCase()).toBe('billing@engine.example');
  });

  test.each(['ada@other.example', 'ada@sub.engine.example', 'ada@engine.example.evil', 'no address'])(
    'may not be %s',
    async (from) => {
      await using peer = await smtpPeer();
      expect(await failure(send(peer, { from }))).toMatchObject({ code: 'invalid_params', retryable: false });
      expect(step(peer.url).review!({ ...MAIL, from }, {})).toMatchObject([{ pointer: '/from' }]);
      expect(peer.connections()).toBe(0);
    },
  );

  test('may be any where the engine has none', async () => {
    await using peer = await smtpPeer();
    await send(step(peer.url, null), { from: 'ada@other.example' });
    expect(peer.mails[0]!.from).toBe('ada@other.example');
  });
});

describe('without its settings the step', () => {
  test.each([
    ['without a server', null, SENDER, {}, ['EXECUTION_ENGINE_SMTP_URL']],
    ['without a sender', 'smtp://127.0.0.1:1', null, {}, ['EXECUTION_ENGINE_MAIL_FROM']],
    ['without both', null, null, {}, ['EXECUTION_ENGINE_SMTP_URL', 'EXECUTION_ENGINE_MAIL_FROM']],
    ['with a sender of its own', null, null, { from: 'a@b.example' }, ['EXECUTION_ENGINE_SMTP_URL']],
  ] as const)('is not configured: %s', async (_name, url, sender, params, missing) => {
    const email = step(url, sender);
    expect(await failure(send(email, params))).toMatchObject({ code: 'not_configured', retryable: false });
    expect(email.missingSettings!(written(params))).toEqual([...missing]);
  });
});

describe('what a value brings along', () => {
  const hostile: Partial<EmailParams>[] = [
    { to: 'ada@example.com\r\nBcc: eve@example.com' },
    { to: ['ada@example.com', 'a b@example.com'] },
    { cc: 'ada@example.com, eve@example.com' },
    { replyTo: 'Ada\nBcc: eve@example.com <ada@example.com>' },
    { attachments: [{ filename: 'a', content: 'no base64!' }] },
    { attachments: [{ filename: 'a', content: 'YWJj\r\nZA==' }] },
    {
      to: Array.from({ length: 60 }, () => 'a@b.example'),
      bcc: Array.from({ length: 60 }, () => 'a@b.example'),
    },
    { attachments: [{ filename: 'a', content: 'x'.repeat(10 * 2 ** 20 + 1), encoding: 'text' }] },
  ];
  test.each(hostile)('%# sends nothing', async (params) => {
    await using peer = await smtpPeer();
    expect(await failure(send(peer, params))).toMatchObject({ code: 'invalid_params', retryable: false });
    expect(step(peer.url).review!(written(params), {})).not.toEqual([]);
    expect(peer.connections()).toBe(0);
  });
});

describe('a server that', () => {
  test.each([
    [421, true],
    [450, true],
    [451, true],
    [550, false],
    [552, false],
    [554, false],
  ])('refuses a mail with %i: retryable %p', async (status, retryable) => {
    await using peer = await smtpPeer({ message: () => status });
    expect(await failure(send(peer))).toMatchObject({
      code: 'smtp_refused',
      retryable,
      message: expect.stringContaining(`${status} `),
      details: { status, command: 'DATA' },
    });
  });

  test.each([
    [[550, 550], false],
    [[450, 450], true],
    [[450, 550], true],
    [[550, 450], true],
  ])('refuses all recipients with %p: retryable %p', async (statuses, retryable) => {
    await using peer = await smtpPeer({ recipient: (address) => statuses[address.startsWith('a') ? 0 : 1]! });
    const found = await failure(send(peer, { to: ['a@example.com', 'b@example.com'] }));
    expect(found).toMatchObject({ code: 'smtp_refused', retryable });
  });

  test('refuses some recipients has the mail for the others, and the output names them', async () => {
    await using peer = await smtpPeer({ recipient: (address) => (address.startsWith('no') ? 550 : null) });
    const { rejected } = await send(peer, { to: ['yes@example.com', 'no@example.com'] });
    expect(rejected).toMatchObject([{ address: 'no@example.com', response: expect.stringContaining('550') }]);
    expect(peer.mails.map(({ to }) => to)).toEqual([['yes@example.com']]);
  });

  test('is not there is a network error', async () => {
    const { url } = await smtpPeer().then(async (peer) => {
      await peer[Symbol.asyncDispose]();
      return peer;
    });
    expect(await failure(send(step(url)))).toMatchObject({
      code: 'smtp_network_error',
      retryable: true,
      details: { reason: 'ECONNREFUSED' },
    });
  });

  const silences: [string, (socket: Socket, line: string | null) => void][] = [
    ['at once', (socket) => socket.destroy()],
    ['politely at once', (socket) => socket.end()],
    ['after its greeting', (socket) => socket.end('220 hello\r\n')],
    [
      'in the middle of the mail',
      (socket, line) => {
        if (line === null) socket.write('220 hello\r\n');
        else if (line === 'DATA') socket.destroy();
        else socket.write('250 ok\r\n');
      },
    ],
    [
      'after the mail, without an answer',
      (socket, line) => {
        if (line === null) socket.write('220 hello\r\n');
        else if (line === 'DATA') socket.write('354 go on\r\n');
        else if (line === '.') socket.end();
        else if (/^(EHLO|MAIL|RCPT)/.test(line)) socket.write('250 ok\r\n');
      },
    ],
    ['with nonsense', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ];
  test.each(silences)('hangs up %s is a network error', async (_name, answer) => {
    await using peer = await rawPeer(answer);
    expect(await failure(send(step(peer.url)))).toMatchObject({
      code: 'smtp_network_error',
      retryable: true,
    });
  });

  test('is silent keeps no step longer than its signal, and its connection is cut', async () => {
    const arrived = Promise.withResolvers<Socket>();
    await using peer = await rawPeer((socket) => arrived.resolve(socket));
    const controller = new AbortController();
    const sending = failureOf(send(step(peer.url), {}, { signal: controller.signal }));
    const socket = await arrived.promise;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    controller.abort(new Error('stopped'));
    expect((await sending).message).toBe('stopped');
    await closed;
  });

  test('is slow lets mails that wait for their turn be given up unsent', async () => {
    const held = Promise.withResolvers<null>();
    await using peer = await smtpPeer({ message: () => held.promise });
    const email = step(peer.url);
    const sent = Array.from({ length: 5 }, (_, at) => send(email, {}, { idempotencyKey: `sent-${at}` }));
    const controller = new AbortController();
    const late = failureOf(send(email, {}, { idempotencyKey: 'late', signal: controller.signal }));
    controller.abort(new Error('stopped'));
    expect((await late).message).toBe('stopped');
    held.resolve(null);
    await Promise.all(sent);
    await send(email, {}, { idempotencyKey: 'after' });
    expect(peer.mails.map(({ headers }) => headers['message-id'])).not.toContain('<late@engine.example>');
    expect(peer.mails).toHaveLength(6);
  });
});

describe('a login', () => {
  const options = {
    authOptional: false,
    authMethods: ['PLAIN', 'LOGIN'],
    allowInsecureAuth: true,
    onAuth: (
      { username, password }: { username?: string | undefined; password?: string | null | undefined },
      _session: unknown,
      done: (error: Error | null, answer?: { user: string }) => void,
    ) => {
      if (username === 'ada' && password === 'p@ss/word') done(null, { user: 'ada' });
      else done(Object.assign(new Error('wrong password'), { responseCode: 535 }));
    },
  };
  const withLogin = (url: string, login: string) => url.replace('://', `://${login}@`);

  test('is made with what the URL says', async () => {
    await using peer = await smtpPeer({}, options);
    await send(step(withLogin(peer.url, 'ada:p%40ss%2Fword')));
    expect(peer.mails[0]!.user).toBe('ada');
  });

  test('with a wrong password is refused for good, and the failure does not have it', async () => {
    await using peer = await smtpPeer({}, options);
    const found = await failure(send(step(withLogin(peer.url, 'ada:a-wrong-one'))));
    expect(found).toMatchObject({ code: 'smtp_refused', retryable: false, details: { status: 535 } });
    expect(JSON.stringify([found.message, found.details])).not.toContain('a-wrong-one');
  });

  test('never goes over a connection without TLS that needs it', async () => {
    await using peer = await smtpPeer({}, options);
    const found = await failure(send(step(`${withLogin(peer.url, 'ada:p%40ss%2Fword')}?requireTLS=true`)));
    expect(found.code).toStartWith('smtp_');
    expect(peer.mails).toEqual([]);
  });
});

describe.if(certificate !== null)('TLS', () => {
  const tls = { ...certificate, disabledCommands: [] };

  test.each([
    ['from the start', { ...tls, secure: true }],
    ['that the server offers', tls],
  ])('%s is used', async (_name, options) => {
    await using peer = await smtpPeer({}, options);
    const email = step(`${peer.url}?tls.rejectUnauthorized=false`);
    await send(email);
    await send(email);
    expect(peer.mails.map(({ secure }) => secure)).toEqual([true, true]);
    expect(peer.connections()).toBe(1);
  });

  test.each([
    ['from the start', { ...tls, secure: true }],
    ['that the server offers', tls],
  ])('%s with a certificate that nobody vouches for sends nothing', async (_name, options) => {
    await using peer = await smtpPeer({}, options);
    expect(await failure(send(peer))).toMatchObject({ code: 'smtp_network_error', retryable: true });
    expect(peer.mails).toEqual([]);
  });

  test('is not asked for where the URL says so', async () => {
    await using peer = await smtpPeer({}, tls);
    await send(step(`${peer.url}?ignoreTLS=true`));
    expect(peer.mails.map(({ secure }) => secure)).toEqual([false]);
  });
});
