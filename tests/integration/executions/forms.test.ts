/** Steps of type form in two started engines: people answer them over HTTP. */
import { beforeAll, describe, expect, test } from 'bun:test';
import { json } from 'node:stream/consumers';
import type { JsonObject } from '../../../core/json/json.ts';
import { ADMIN, answeringEngines, EDITOR, OPERATOR, VIEWER } from '../../support/api/answering-engines.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { httpPeer } from '../../support/http-peer.ts';
import { type SmtpPeer, smtpPeer } from '../../support/mail/smtp-peer.ts';
import { until } from '../../support/until.ts';

const ADA = '0190b6d0-1111-7222-8333-444455556666';

let database: EngineDatabase;
let mail: SmtpPeer;
let engine: TestEngine;
let other: TestEngine;

fixtureForAll(
  async (made) => {
    mail = await made.use(smtpPeer());
    const config = {
      EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1',
      EXECUTION_ENGINE_SMTP_URL: mail.url,
      EXECUTION_ENGINE_MAIL_FROM: 'flows@example.com',
    };
    const answering = await answeringEngines(made, { config });
    database = answering.database;
    [engine, other] = answering.engines;
  },
  { allFinal: false },
);

const formStep = (params: JsonObject, rest: JsonObject = {}): JsonObject => ({
  steps: { form: { type: 'form', with: params, ...rest } },
});

/** An execution whose step waits for its form. */
async function waiting(
  definition: JsonObject,
  start: JsonObject = {},
): Promise<{ id: string; step: string }> {
  const id = await engine.start(await engine.publish(definition), start);
  return { id, step: await stepId(id) };
}

async function stepId(id: string, attempt = 1): Promise<string> {
  let step = '';
  await until(async () => {
    const found = (await engine.client.status(id)).steps.find(({ key }) => key === 'form');
    step = found?.id ?? '';
    return found?.status === 'waiting' && found.attempt_count === attempt;
  });
  return step;
}

const answer = (step: string, body: JsonObject, call = 'complete', through = engine, key = ADMIN) =>
  through.request('POST', `/api/v1/steps/${step}/${call}`, body, key);
const verdict = ({ status, body }: { status: number; body: JsonObject }) => [
  status,
  body.code ?? body.status,
];

describe('a form', () => {
  test('ends with the first answer, which becomes the output', async () => {
    const { id, step } = await waiting(formStep({ title: 'Where to?', description: 'The address.' }));
    const [shown] = (await engine.client.status(id)).steps;
    expect(shown!.waiting_for).toEqual({ kind: 'form', title: 'Where to?', assignees: [] });
    expect(verdict(await answer(step, { output: { city: 'Rome' } }))).toEqual([200, 'completed']);
    expect(stepOf(await engine.end(id), 'form').outputs).toEqual({ city: 'Rome' });
    expect(verdict(await answer(step, { output: 1 }))).toEqual([409, 'wrong_state']);
  });

  test('checks the output against its schema, and a wrong one changes nothing', async () => {
    const schema = { type: 'object', required: ['city'], properties: { city: { type: 'string' } } };
    const { id, step } = await waiting(formStep({ schema }));
    const wrong = await answer(step, { output: { city: 7 } });
    expect(verdict(wrong)).toEqual([422, 'validation_failed']);
    expect(wrong.body.errors).toMatchObject([{ pointer: '/output/city' }]);
    const missing = await answer(step, {});
    expect(missing.body.errors).toMatchObject([{ pointer: '/output', code: 'required' }]);
    expect(verdict(await answer(step, { output: { city: 'Rome' } }))).toEqual([200, 'completed']);
    await engine.end(id);
  });

  test('without a quorum is rejected by fail, and not tried again', async () => {
    const retry = { limit: 3, delay: '1ms' };
    const { id, step } = await waiting(formStep({ title: 'May we?' }, { retry }));
    const body = { error: { code: 'no', message: 'Too expensive.' }, retryable: true };
    expect(verdict(await answer(step, body, 'fail'))).toEqual([200, 'failed']);
    expect(stepOf(await engine.end(id), 'form')).toMatchObject({
      attempt_count: 1,
      error: { code: 'rejected', message: 'Too expensive.' },
    });
    const bare = await waiting(formStep({}));
    expect(verdict(await answer(bare.step, {}, 'fail'))).toEqual([200, 'failed']);
    expect(stepOf(await engine.end(bare.id), 'form').error?.code).toBe('rejected');
  });

  test('is answered by those it is assigned to, who say who they are', async () => {
    const { id, step } = await waiting(formStep({ assignees: [ADA.toUpperCase(), 'bob', 'role:chief'] }));
    const nobody = await answer(step, { output: 1 });
    expect(verdict(nobody)).toEqual([422, 'validation_failed']);
    expect(nobody.body.errors).toMatchObject([{ pointer: '/user_id', code: 'required' }]);
    for (const user_id of ['eve', 'chief', 'role:chief'])
      expect(verdict(await answer(step, { output: 1, user_id }))).toEqual([403, 'forbidden']);
    expect(verdict(await answer(step, { output: 1, user_id: 'eve' }, 'fail'))).toEqual([
      422,
      'validation_failed',
    ]);
    expect(verdict(await answer(step, { user_id: 'eve' }, 'fail'))).toEqual([403, 'forbidden']);
    expect(verdict(await answer(step, { output: 1, user_id: ADA }))).toEqual([200, 'completed']);
    await engine.end(id);
  });

  test('may refuse the user who started the execution', async () => {
    const { id, step } = await waiting(formStep({ noSelfApproval: true }), { user_id: ADA });
    expect(verdict(await answer(step, { output: 1, user_id: ADA.toUpperCase() }))).toEqual([
      403,
      'forbidden',
    ]);
    expect(verdict(await answer(step, { output: 1, user_id: 'bob' }))).toEqual([200, 'completed']);
    await engine.end(id);
  });

  test('times out, and begins anew with its retry', async () => {
    const form = { quorum: { approve: 2 }, timeout: '2s' };
    const { id, step } = await waiting(formStep(form, { retry: { limit: 1, delay: '1ms', jitter: false } }));
    expect(verdict(await answer(step, { decision: 'approve', user_id: 'ada' }))).toEqual([200, 'waiting']);
    await stepId(id, 2);
    expect(verdict(await answer(step, { decision: 'approve', user_id: 'ada' }))).toEqual([200, 'waiting']);
    expect(stepOf(await engine.end(id), 'form')).toMatchObject({
      attempt_count: 2,
      error: { code: 'timeout' },
    });
  });

  test('belongs to its workspace, and viewers may not answer it', async () => {
    const body = { name: 'of-a-workspace', ...formStep({ title: 'Ours' }) };
    await engine.request('POST', '/api/v1/templates', body, EDITOR);
    const started = await engine.request(
      'POST',
      '/api/v1/execution/start',
      { template: body.name },
      OPERATOR,
    );
    const id = String(started.body.execution_id);
    const step = await stepId(id);
    expect(verdict(await answer(step, { output: 1 }, 'complete', engine, VIEWER))).toEqual([
      403,
      'forbidden',
    ]);
    const foreign = await waiting(formStep({ title: 'Theirs' }));
    const mine = await engine.request('GET', '/api/v1/forms', undefined, VIEWER);
    expect((mine.body.data as JsonObject[]).map(({ step_id }) => step_id)).toEqual([step]);
    expect(verdict(await answer(foreign.step, { output: 1 }, 'complete', engine, OPERATOR))).toEqual([
      404,
      'step_not_found',
    ]);
    await answer(step, { output: 1 });
    await answer(foreign.step, { output: 1 });
  });

  test.each([
    ['a schema that is none', { schema: { type: 'nonsense' } }, '/schema'],
    ['a quorum that nobody can reach', { quorum: { approve: 3 }, assignees: ['ada', 'bob'] }, '/quorum'],
    ['a reminder for nobody', { reminder: { after: '1h' } }, '/reminder'],
    ['a reminder to a wrong address', { reminder: { after: '1h', email: 'ada' } }, '/reminder'],
  ])('with %s is refused at publish', async (_name, params, pointer) => {
    const { status, body } = await engine.request('POST', '/api/v1/templates', {
      name: 'wrong-form',
      ...formStep(params as JsonObject),
    });
    expect(status).toBe(422);
    expect(String((body.errors as JsonObject[])[0]!.pointer)).toStartWith(`/steps/form/with${pointer}`);
  });
});

describe('a form with a quorum', () => {
  const approve = (user_id: string, rest: JsonObject = {}) => ({ decision: 'approve', user_id, ...rest });

  test('completes when enough users approve, with all decisions and the last output', async () => {
    const { id, step } = await waiting(formStep({ quorum: { approve: 2 } }));
    expect(verdict(await answer(step, approve('ada', { comment: 'fine', output: { n: 1 } })))).toEqual([
      200,
      'waiting',
    ]);
    expect(verdict(await answer(step, approve('ada')))).toEqual([409, 'already_decided']);
    expect(verdict(await answer(step, { output: 1, user_id: 'bob' }))).toEqual([422, 'validation_failed']);
    expect(verdict(await answer(step, { user_id: 'bob' }, 'fail'))).toEqual([422, 'validation_failed']);
    expect(verdict(await answer(step, approve('bob', { output: { n: 2 } })))).toEqual([200, 'completed']);
    const { outputs, attempt_count } = stepOf(await engine.end(id), 'form');
    expect(attempt_count).toBe(1);
    expect(outputs).toEqual({
      decision: 'approve',
      decisions: [
        { user_id: 'ada', decision: 'approve', comment: 'fine', at: expect.any(String) },
        { user_id: 'bob', decision: 'approve', comment: null, at: expect.any(String) },
      ],
      output: { n: 2 },
    });
  });

  test('fails with rejected at the first rejection, or at as many as it says', async () => {
    const one = await waiting(formStep({ quorum: { approve: 2 } }));
    await answer(one.step, approve('ada'));
    const comment = 'No.';
    expect(verdict(await answer(one.step, { decision: 'reject', user_id: 'bob', comment }))).toEqual([
      200,
      'failed',
    ]);
    expect(stepOf(await engine.end(one.id), 'form').error).toMatchObject({
      code: 'rejected',
      details: { decisions: [{ user_id: 'ada' }, { user_id: 'bob', decision: 'reject', comment }] },
    });
    const two = await waiting(formStep({ quorum: { approve: 1, reject: 2 } }));
    expect(verdict(await answer(two.step, { decision: 'reject', user_id: 'ada' }))).toEqual([200, 'waiting']);
    expect(verdict(await answer(two.step, { decision: 'reject', user_id: 'bob' }))).toEqual([200, 'failed']);
    await engine.end(two.id);
  });

  test('counts right when users decide at the same moment on two engines', async () => {
    const users = Array.from({ length: 12 }, (_, at) => `user-${at}`);
    const { id, step } = await waiting(formStep({ quorum: { approve: 10 } }));
    // Each of them twice, once on each engine.
    const answers = await Promise.all(
      users.flatMap((user) =>
        [engine, other].map((through) => answer(step, approve(user), 'complete', through)),
      ),
    );
    const counted = answers.filter(({ status }) => status === 200);
    expect(counted).toHaveLength(10);
    for (const refused of answers.filter(({ status }) => status !== 200))
      expect(['already_decided', 'wrong_state']).toContain(String(refused.body.code));
    const { decisions } = stepOf(await engine.end(id), 'form').outputs as {
      decisions: { user_id: string }[];
    };
    expect(new Set(decisions.map(({ user_id }) => user_id)).size).toBe(10);
    expect(decisions).toHaveLength(10);
  });

  test('asks for an output that fits its schema with each approval, and for none with a rejection', async () => {
    const schema = { type: 'object', required: ['n'] };
    const { id, step } = await waiting(formStep({ schema, quorum: { approve: 2, reject: 2 } }));
    expect(verdict(await answer(step, approve('ada')))).toEqual([422, 'validation_failed']);
    expect(verdict(await answer(step, approve('ada', { output: {} })))).toEqual([422, 'validation_failed']);
    expect(verdict(await answer(step, approve('ada', { output: { n: 1 } })))).toEqual([200, 'waiting']);
    expect(verdict(await answer(step, { decision: 'reject', user_id: 'bob' }))).toEqual([200, 'waiting']);
    expect(verdict(await answer(step, { decision: 'reject', user_id: 'carl' }))).toEqual([200, 'failed']);
    await engine.end(id);
  });
});

describe('a reminder', () => {
  test('is called again and again while the form waits, and never after; a receiver that fails hurts nobody', async () => {
    const told: JsonObject[] = [];
    let failures = 0;
    await using peer = await httpPeer(async (request, response) => {
      if (request.url === '/broken') {
        failures += 1;
        response.writeHead(500).end();
        return;
      }
      told.push((await json(request)) as JsonObject);
      response.end();
    });
    const reminder = { after: '100ms', every: '100ms', url: `${peer.origin}/told` };
    const form = await waiting(formStep({ title: 'Please', assignees: ['ada'], reminder }));
    const broken = await waiting(formStep({ reminder: { after: '100ms', url: `${peer.origin}/broken` } }));
    await until(() => told.length >= 2 && failures >= 1);
    expect(told[0]).toEqual({
      execution_id: form.id,
      step_id: form.step,
      title: 'Please',
      assignees: ['ada'],
    });
    for (const { step } of [form, broken])
      expect(verdict(await answer(step, { output: 1, user_id: 'ada' }))).toEqual([200, 'completed']);
    await engine.end(broken.id);
    expect((await engine.end(form.id)).status).toBe('completed');
    const { rows } = await database.pool.query(
      `update workflow_forms set remind_at = now() where step_execution_id = $1 returning 1`,
      [form.step],
    );
    const sent = told.length;
    if (rows.length > 0)
      await database.until(
        'select remind_at > now() from workflow_forms where step_execution_id = $1 union all select true limit 1',
        [form.step],
      );
    expect(told.length).toBe(sent);
  });

  test('may be a mail', async () => {
    const before = mail.mails.length;
    const reminder = { after: '100ms', email: 'Ada <ada@example.com>' };
    const { id, step } = await waiting(formStep({ title: 'Sign\nhere', reminder }));
    await until(() => mail.mails.length > before);
    expect(mail.mails.at(-1)!).toMatchObject({ from: 'flows@example.com', to: ['ada@example.com'] });
    expect(mail.mails.at(-1)!.headers.subject).toBe('Reminder: Sign here');
    expect(mail.mails.at(-1)!.text).toContain(step);
    await answer(step, { output: 1 });
    await engine.end(id);
  });
});

describe('the inbox', () => {
  const inbox = async (query: string) => {
    const { body } = await engine.request('GET', `/api/v1/forms?${query}`);
    return { data: body.data as JsonObject[], next: body.next_cursor as string | null };
  };
  const open: string[] = [];

  beforeAll(async () => {
    const params = {
      title: 'Review',
      description: 'Please.',
      schema: { type: 'object' },
      assignees: ['zoe', ADA],
      quorum: { approve: 2 },
      timeout: '1h',
    };
    for (let count = 0; count < 3; count += 1) open.push((await waiting(formStep(params))).step);
    await answer(open[0]!, { decision: 'approve', user_id: ADA, output: {} });
  });

  test('has the forms of an assignee, in pages', async () => {
    const first = await inbox('assignee=zoe&limit=2');
    const second = await inbox(`assignee=zoe&limit=2&cursor=${first.next}`);
    expect([...first.data, ...second.data].map(({ step_id }) => step_id)).toEqual(open);
    expect([first.data.length, second.next]).toEqual([2, null]);
    expect((await inbox(`assignee=${ADA.toUpperCase()}`)).data).toHaveLength(3);
    expect((await inbox('assignee=nobody')).data).toEqual([]);
    const { data } = await inbox('assignee=zoe&limit=1');
    expect(data[0]).toEqual({
      step_id: open[0]!,
      execution_id: expect.any(String),
      template: expect.any(String),
      key: 'form',
      scope: '',
      title: 'Review',
      description: 'Please.',
      schema: { type: 'object' },
      assignees: ['zoe', ADA],
      decisions: [{ user_id: ADA, decision: 'approve', comment: null, at: expect.any(String) }],
      created_at: expect.any(String),
      due_at: expect.any(String),
    } as never);
  });

  test('loses a form when it is over, and when its execution is', async () => {
    await answer(open[0]!, { decision: 'approve', user_id: 'zoe', output: {} });
    const [, second] = (await inbox('assignee=zoe')).data;
    expect((await inbox('assignee=zoe')).data.map(({ step_id }) => step_id)).toEqual(open.slice(1));
    await engine.request('POST', '/api/v1/execution/stop', { execution_id: second!.execution_id });
    expect((await inbox('assignee=zoe')).data.map(({ step_id }) => step_id)).toEqual([open[1]!]);
  });
});
