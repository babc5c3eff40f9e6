/** Steps of type email in a started engine, whose mail server is a real one. */
import { describe, expect, test } from 'bun:test';
import type { SMTPServerOptions } from 'smtp-server';
import type { JsonObject } from '../../../core/json/json.ts';
import { stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { type ReceivedMail, type SmtpPeer, smtpPeer } from '../../support/mail/smtp-peer.ts';

let peer: SmtpPeer;
let engine: TestEngine;
let bare: TestEngine;
let answer: (mail: ReceivedMail) => number | null | Promise<number | null> = () => null;

fixtureForAll(async (made) => {
  await made.database();
  const login = { allowInsecureAuth: true, authMethods: ['PLAIN'], onAuth: acceptAll };
  peer = await made.use(smtpPeer({ message: (mail) => answer(mail) }, login));
  engine = await made.engine({
    config: {
      EXECUTION_ENGINE_SMTP_URL: peer.url.replace('://', `://flows:${PASSWORD}@`),
      EXECUTION_ENGINE_MAIL_FROM: 'Flows <flows@engine.example>',
    },
  });
  // A database of its own: an engine with the settings would take its steps.
  const { url } = await made.database();
  bare = await made.engine({ url, name: 'bare' });
});

const acceptAll: NonNullable<SMTPServerOptions['onAuth']> = ({ username }, _session, done) =>
  done(null, { user: String(username) });

const PASSWORD = 'mail-password-1';
const MAIL = { to: 'ada@example.com', subject: 'Hello', text: 'Good morning' };
const mailStep = (params: JsonObject = {}, rest: JsonObject = {}): JsonObject => ({
  steps: { mail: { type: 'email', with: { ...MAIL, ...params }, ...rest } },
});
const RETRY = { retry: { limit: 2, delay: '10ms', jitter: false } };

async function mailsWith(subject: string, behaviour: typeof answer, definition: JsonObject) {
  answer = (mail) => (mail.headers.subject === subject ? behaviour(mail) : null);
  const status = await engine.run(definition);
  return { status, mails: peer.mails.filter(({ headers }) => headers.subject === subject) };
}

describe('an email step', () => {
  test('sends what its expressions say, and its output is the Message-ID', async () => {
    const definition = {
      steps: {
        data: { type: 'noop', with: { to: ['ada@example.com', 'bob@example.com'], name: 'Ada' } },
        mail: {
          type: 'email',
          needs: ['data'],
          with: {
            ...MAIL,
            to: '${{ steps.data.output.to }}',
            subject: 'Hello ${{ steps.data.output.name }}',
          },
        },
      },
    };
    const { status, mails } = await mailsWith('Hello Ada', () => null, definition);
    const { id, outputs } = stepOf(status, 'mail');
    expect(outputs).toEqual({ messageId: `<${id}@engine.example>` });
    expect(mails).toMatchObject([
      { from: 'flows@engine.example', to: ['ada@example.com', 'bob@example.com'] },
    ]);
    expect(mails[0]!.headers['message-id']).toBe(`<${id}@engine.example>`);
  });

  test('signs in with a password that is masked wherever it would be seen', async () => {
    const status = await engine.run({
      steps: { text: { type: 'noop', with: { text: `the password is ${PASSWORD}` } } },
    });
    expect(stepOf(status, 'text').outputs).toEqual({ text: 'the password is ***' });
    expect(peer.mails.map(({ user }) => user)).toContain('flows');
  });

  test('is tried again when the server refuses for now, with the same Message-ID', async () => {
    const ids: (string | undefined)[] = [];
    const { status, mails } = await mailsWith(
      'busy',
      ({ headers }) => (ids.push(headers['message-id']) < 3 ? 451 : null),
      mailStep({ subject: 'busy' }, RETRY),
    );
    expect(status.status).toBe('completed');
    expect(stepOf(status, 'mail').attempt_count).toBe(3);
    expect(mails).toHaveLength(1);
    expect(new Set(ids).size).toBe(1);
  });

  test('is not tried again when the server refuses for good', async () => {
    const { status, mails } = await mailsWith('never', () => 554, mailStep({ subject: 'never' }, RETRY));
    expect(stepOf(status, 'mail')).toMatchObject({
      status: 'failed',
      attempt_count: 1,
      error: { code: 'smtp_refused', details: { status: 554 } },
    });
    expect(mails).toEqual([]);
  });

  test('ends at its timeout when the server does not answer, and may be tried again', async () => {
    const held = Promise.withResolvers<null>();
    const { status } = await mailsWith(
      'slow',
      () => held.promise,
      mailStep({ subject: 'slow' }, { timeout: '300ms', retry: { limit: 1, delay: '10ms' } }),
    );
    held.resolve(null);
    expect(stepOf(status, 'mail')).toMatchObject({
      status: 'failed',
      attempt_count: 2,
      error: { code: 'timeout' },
    });
  });

  test('ends with its execution', async () => {
    const held = Promise.withResolvers<null>();
    const arrived = Promise.withResolvers<void>();
    answer = ({ headers }) => {
      if (headers.subject !== 'held') return null;
      arrived.resolve();
      return held.promise;
    };
    const id = await engine.start(await engine.publish(mailStep({ subject: 'held' })));
    await arrived.promise;
    await engine.request('POST', '/api/v1/execution/stop', { execution_id: id });
    expect((await engine.end(id)).status).toBe('cancelled');
    held.resolve(null);
  });

  test.each([
    ['a subject with a line break', { subject: "${{ 'Hello\\r\\nBcc: eve@example.com' }}" }],
    ['an address with a line break', { to: "${{ 'ada@example.com\\nBcc: eve@example.com' }}" }],
    ['two addresses in one text', { to: "${{ 'ada@example.com, eve@example.com' }}" }],
    ['a sender of another domain', { from: "${{ 'ada@other.example' }}" }],
    ['a file name with a line break', { attachments: [{ filename: "${{ 'a\\nX: y' }}", content: '' }] }],
    ['an attachment that is no base64', { attachments: [{ filename: 'a', content: "${{ '?' }}" }] }],
  ])('whose expression gives %s sends nothing, and is not tried again', async (_name, params) => {
    const before = peer.mails.length;
    const status = await engine.run(mailStep(params, RETRY));
    expect(stepOf(status, 'mail')).toMatchObject({ status: 'failed', error: { code: 'invalid_params' } });
    expect(stepOf(status, 'mail').attempt_count).toBe(1);
    expect(peer.mails).toHaveLength(before);
  });

  test.each([
    ['a sender of another domain', { from: 'ada@other.example' }, '/from'],
    ['no address', { cc: ['ada@example.com', 'nobody'] }, '/cc'],
    ['a line break in its subject', { subject: 'a\nb' }, '/subject'],
    ['an attachment that is no base64', { attachments: [{ filename: 'a', content: '?' }] }, '/attachments'],
    ['no receiver', { to: [] }, '/to'],
  ])('with %s is refused at publish', async (_name, params, pointer) => {
    const { status, body } = await engine.request('POST', '/api/v1/templates', {
      name: 'refused',
      ...mailStep(params),
    });
    expect(status).toBe(422);
    expect(body.errors).toMatchObject([{ pointer: `/steps/mail/with${pointer}`, code: 'invalid_params' }]);
  });
});

describe('an engine without a mail server', () => {
  test('publishes with a warning for each setting that is missing', async () => {
    const { status, body } = await bare.request('POST', '/api/v1/templates', { name: 'bare', ...mailStep() });
    expect(status).toBe(201);
    expect(body.warnings).toMatchObject([
      { pointer: '/steps/mail/type', code: 'not_configured', message: expect.stringContaining('SMTP_URL') },
      { pointer: '/steps/mail/type', code: 'not_configured', message: expect.stringContaining('MAIL_FROM') },
    ]);
    const own = { name: 'bare-from', ...mailStep({ from: 'ada@example.com' }) };
    expect((await bare.request('POST', '/api/v1/templates', own)).body.warnings).toHaveLength(1);
  });

  test('fails the step with not_configured, which is not tried again', async () => {
    const status = await bare.run(mailStep({}, RETRY));
    expect(stepOf(status, 'mail')).toMatchObject({
      status: 'failed',
      attempt_count: 1,
      error: { code: 'not_configured', message: expect.stringContaining('EXECUTION_ENGINE_') },
    });
  });

  test('warns of nothing when it has the settings', async () => {
    const { body } = await engine.request('POST', '/api/v1/templates', { name: 'warned', ...mailStep() });
    expect(body.warnings).toEqual([]);
  });
});
