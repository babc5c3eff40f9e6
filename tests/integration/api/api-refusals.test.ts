/**
 * What a call can refuse for reasons of its own, at a real engine: things that are not there, that are not valid,
 * that are in conflict. Each is a problem document, and no row has changed.
 */
import { describe, expect, test } from 'bun:test';
import type { ProblemDocument } from '../../../api/errors.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import {
  AT_REST,
  type GuardedEngine,
  guardedEngine,
  KEY_OF_B,
  keyOf,
  OPERATOR_KEY,
  WORKSPACE_A,
} from '../../support/guarded-engine.ts';

const UNKNOWN = '11111111-1111-4111-8111-111111111111';
const START = '/api/v1/execution/start';
const START_MANY = '/api/v1/execution/start-many';
const STOP = '/api/v1/execution/stop';
const TEMPLATES = '/api/v1/templates';

let room: GuardedEngine;
let template: string;
let templateId: string;
let running: string;

fixtureForAll(async (fixture) => {
  room = await guardedEngine(fixture);
  ({ template, templateId, running } = room);
}, AT_REST);

const asWorkspace = { key: keyOf('admin') };
const json = (value: unknown) => ({ ...asWorkspace, body: JSON.stringify(value) });

function pointers({ errors }: ProblemDocument): string[] {
  return (errors ?? []).map(({ pointer }) => pointer).sort();
}

describe('what is not there', () => {
  test('an unknown route is 404, with and without a key', async () => {
    for (const path of [
      '/nope',
      '/api/v1/nope',
      '/api/v2/execution/start',
      '/admin',
      `${START}/`,
      '/admin/executions/',
    ])
      for (const method of ['GET', 'POST', 'DELETE'])
        for (const key of [OPERATOR_KEY, null])
          await room.refuse([404, 'not_found'], () => room.send(method, path, { key }));
  });

  test('a call of a later release is 404', async () => {
    for (const path of ['/api/v1/schedules', '/api/v1/triggers', '/api/v1/events'])
      for (const method of ['GET', 'POST'])
        await room.refuse([404, 'not_found'], () => room.send(method, path));
  });

  test('an unknown execution is 404', async () => {
    for (const key of [OPERATOR_KEY, keyOf('admin')]) {
      await room.refuse([404, 'execution_not_found'], () =>
        room.send('GET', `/api/v1/execution/status?execution_id=${UNKNOWN}`, { key }),
      );
      await room.refuse([404, 'execution_not_found'], () =>
        room.send('GET', `/api/v1/execution/status?execution_id=${UNKNOWN}&wait=30s`, { key }),
      );
      const body = JSON.stringify({ execution_id: UNKNOWN, reason: 'none' });
      await room.refuse([404, 'execution_not_found'], () => room.send('POST', STOP, { key, body }));
    }
    await room.refuse([404, 'execution_not_found'], () =>
      room.send('POST', `/admin/executions/${UNKNOWN}/cancel`),
    );
  });

  test('an unknown template or version is 404', async () => {
    const items = [
      { template: 'nobody' },
      { template, version: 99 },
      { workflow_template_id: UNKNOWN },
      { workflow_template_id: templateId, version: 2 },
      { workflow_template_id: running },
    ];
    for (const item of items) {
      await room.refuse([404, 'template_not_found'], () => room.send('POST', START, json(item)));
      const { errors } = await room.refuse([404, 'template_not_found'], () =>
        room.send('POST', START_MANY, json({ items: [{ template }, item] })),
      );
      expect(errors![0]!.pointer).toStartWith('/items/1/');
    }
    await room.refuse([404, 'template_not_found'], () =>
      room.send('GET', `${TEMPLATES}/nobody`, asWorkspace),
    );
    await room.refuse([404, 'template_not_found'], () =>
      room.send('GET', `${TEMPLATES}/${template}?version=9`, asWorkspace),
    );
    await room.refuse([404, 'template_not_found'], () =>
      room.send('DELETE', `${TEMPLATES}/nobody`, asWorkspace),
    );
  });

  test("another workspace's object is 404, as if it were not there", async () => {
    const key = KEY_OF_B;
    const found = await room.refuse([404, 'execution_not_found'], () =>
      room.send('GET', `/api/v1/execution/status?execution_id=${running}`, { key }),
    );
    expect(found.detail.replace(running, UNKNOWN)).toBe(
      (
        await room.refuse([404, 'execution_not_found'], () =>
          room.send('GET', `/api/v1/execution/status?execution_id=${UNKNOWN}`, { key }),
        )
      ).detail,
    );
    const of = (value: unknown) => ({ key, body: JSON.stringify(value) });
    await room.refuse([404, 'execution_not_found'], () =>
      room.send('POST', STOP, of({ execution_id: running })),
    );
    for (const item of [{ template }, { workflow_template_id: templateId }]) {
      await room.refuse([404, 'template_not_found'], () => room.send('POST', START, of(item)));
      await room.refuse([404, 'template_not_found'], () =>
        room.send('POST', START_MANY, of({ items: [item] })),
      );
    }
    for (const method of ['GET', 'DELETE'])
      await room.refuse([404, 'template_not_found'], () =>
        room.send(method, `${TEMPLATES}/${template}`, { key }),
      );
    const named = { template, workspace_id: WORKSPACE_A };
    await room.refuse([403, 'forbidden'], () => room.send('POST', START, of(named)));
    await room.refuse([403, 'forbidden'], () => room.send('POST', START_MANY, of({ items: [named] })));
  });
});

describe('a validation that fails is 422', () => {
  const wrongItems: readonly [object, string[]][] = [
    [{}, ['']],
    [{ template: 't', workflow_template_id: UNKNOWN }, ['']],
    [{ template: 'no name' }, ['/template']],
    [{ template: '' }, ['/template']],
    [{ template: 't', verison: 1 }, ['/verison']],
    [{ template: 't', version: 0 }, ['/version']],
    [{ template: 't', version: 1.5 }, ['/version']],
    [{ template: 't', version: '1' }, ['/version']],
    [{ template: 't', version: 2 ** 31 }, ['/version']],
    [{ template: 't', priority: 1e7 }, ['/priority']],
    [{ template: 't', tags: ['', 1, 'x'.repeat(129)] }, ['/tags/0', '/tags/1', '/tags/2']],
    [{ template: 't', tags: 'a' }, ['/tags']],
    [{ template: 't', idempotency_key: '' }, ['/idempotency_key']],
    [{ template: 't', idempotency_key: 'a\nb' }, ['/idempotency_key']],
    [{ template: 't', idempotency_key: 'x'.repeat(256) }, ['/idempotency_key']],
    [{ template: 't', callback_url: 'ftp://a/b' }, ['/callback_url']],
    [{ template: 't', callback_url: 'https://user:password@a/b' }, ['/callback_url']],
    [{ template: 't', user_id: 'me', workspace_id: 7 }, ['/user_id', '/workspace_id']],
    ...[-1, 1.5, 3651 * 86_400_000, '1', '1 s', '1.5s', ' 1s', null, true].map(
      (start_after): [object, string[]] => [{ template: 't', start_after }, ['/start_after']],
    ),
    ...['soon', '', '-1s', '3651d', '2027-01-01', '2027-01-01T00:00:00', '2027-02-30T00:00:00Z'].map(
      (start_after): [object, string[]] => [{ template: 't', start_after }, ['/start_after']],
    ),
    // Instants that ISO 8601 allows and no timestamptz column takes as they are.
    ...['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+23:59', '9999-12-31T23:59:59-23:59'].map(
      (start_after): [object, string[]] => [{ template: 't', start_after }, ['/start_after']],
    ),
  ];

  test.each(wrongItems)('start, alone and among others: %j', async (item, wanted) => {
    const alone = await room.refuse([422, 'validation_failed'], () => room.send('POST', START, json(item)));
    expect(pointers(alone)).toEqual(wanted);
    const many = { items: [{ template }, item] };
    const among = await room.refuse([422, 'validation_failed'], () =>
      room.send('POST', START_MANY, json(many)),
    );
    expect(pointers(among)).toEqual(wanted.map((pointer) => `/items/1${pointer}`));
  });

  test('inputs that the schema of the template refuses', async () => {
    for (const inputs of [{ n: 'x' }, [], 'text', 7, { n: 1.5 }]) {
      await room.refuse([422, 'invalid_inputs'], () => room.send('POST', START, json({ template, inputs })));
      const items = [
        { template, inputs: { n: 1 } },
        { template, inputs },
      ];
      const { errors } = await room.refuse([422, 'invalid_inputs'], () =>
        room.send('POST', START_MANY, json({ items })),
      );
      expect(errors![0]!.pointer).toStartWith('/items/1');
    }
  });

  test('start-many of nothing, too many, or with a key for all', async () => {
    for (const body of [{}, { items: [] }, { items: {} }, { items: [null] }, { items: [[]] }])
      await room.refuse([422, 'validation_failed'], () => room.send('POST', START_MANY, json(body)));
    const items = Array.from({ length: 1_001 }, () => ({ template }));
    const many = await room.refuse([422, 'validation_failed'], () =>
      room.send('POST', START_MANY, json({ items })),
    );
    expect(many.errors).toMatchObject([{ pointer: '/items', code: 'too_big' }]);
    const headers = { 'idempotency-key': 'for-all' };
    await room.refuse([422, 'validation_failed'], () =>
      room.send('POST', START_MANY, { ...json({ items: [{ template }] }), headers }),
    );
  });

  test.each([
    ['GET', '/api/v1/execution/status'],
    ['GET', '/api/v1/execution/status?execution_id=7'],
    ['GET', `/api/v1/execution/status?execution_id=${UNKNOWN}&execution_id=${UNKNOWN}`],
    ['GET', `/api/v1/execution/status?execution_id=${UNKNOWN}&include=everything`],
    ...['soon', '-1s', '', '1.5s', '1%20s', '1e3', 'Infinity'].map((wait) => [
      'GET',
      `/api/v1/execution/status?execution_id=${UNKNOWN}&wait=${wait}`,
    ]),
    ['GET', `/api/v1/execution/status?execution_id=${UNKNOWN}&unknown=1`],
    ['POST', '/admin/executions/7/cancel'],
    ['POST', '/admin/executions/%20/cancel'],
    ['GET', `${TEMPLATES}/no%20name`],
    ['GET', `${TEMPLATES}/%zz`],
    ['GET', `${TEMPLATES}/${'x'.repeat(129)}`],
    ['DELETE', `${TEMPLATES}/a%2fb`],
    ['GET', `${TEMPLATES}/a?version=0`],
    ['GET', `${TEMPLATES}/a?version=9999999999`],
    ['GET', `${TEMPLATES}/a?versoin=1`],
    ['DELETE', `${TEMPLATES}/a?version=1`],
  ] as [string, string][])('%s %s', async (method, path) => {
    await room.refuse([422, 'validation_failed'], () => room.send(method, path));
  });

  test('stop and cancel', async () => {
    const wrong = [{}, { execution_id: null }, { execution_id: '7' }, { execution_id: running, reason: 7 }];
    for (const body of [...wrong, { execution_id: running, reason: 'x'.repeat(1_001) }, { id: running }])
      await room.refuse([422, 'validation_failed'], () => room.send('POST', STOP, json(body)));
    for (const body of ['{"reason":7}', '{"execution_id":1}', '[]'])
      await room.refuse([422, 'validation_failed'], () =>
        room.send('POST', `/admin/executions/${running}/cancel`, { body }),
      );
  });

  test('a definition, with every problem at once', async () => {
    const wrong = {
      name: 'no name',
      stpes: {},
      steps: { a: { type: 'nope', needs: ['b'] }, c: { type: 'noop', needs: ['c'] } },
    };
    const { errors } = await room.refuse([422, 'invalid_definition'], () =>
      room.send('POST', TEMPLATES, json(wrong)),
    );
    expect(errors!.length).toBeGreaterThanOrEqual(4);
    const response = await room.send('POST', `${TEMPLATES}/validate`, json(wrong));
    expect(await response.json()).toMatchObject({ valid: false, errors });
  });
});

describe('a conflict', () => {
  test('an idempotency key that was used for something else is 409', async () => {
    const used = { idempotency_key: 'used' };
    for (const item of [
      { template, inputs: { n: 2 } },
      { template },
      { template, version: 1, inputs: { n: 1 } },
    ]) {
      await room.refuse([409, 'idempotency_conflict'], () =>
        room.send('POST', START, json({ ...item, ...used })),
      );
      const headers = { 'idempotency-key': 'used' };
      await room.refuse([409, 'idempotency_conflict'], () =>
        room.send('POST', START, { ...json(item), headers }),
      );
      await room.refuse([409, 'idempotency_conflict'], () =>
        room.send('POST', START_MANY, json({ items: [{ template }, { ...item, ...used }] })),
      );
    }
    const twice = { template, idempotency_key: 'twice' };
    await room.refuse([409, 'idempotency_conflict'], () =>
      room.send('POST', START_MANY, json({ items: [twice, { ...twice, inputs: { n: 1 } }] })),
    );
  });

  test('a key that differs in header and body, or is none, is 422', async () => {
    const item = json({ template, idempotency_key: 'one' });
    await room.refuse([422, 'idempotency_mismatch'], () =>
      room.send('POST', START, { ...item, headers: { 'idempotency-key': 'other' } }),
    );
    for (const key of ['', 'a b', 'x'.repeat(256)])
      await room.refuse([422, 'validation_failed'], () =>
        room.send('POST', START, { ...json({ template }), headers: { 'idempotency-key': key } }),
      );
  });
});

test('after all of it the engine works on, and the calls that were refused succeed when they are right', async () => {
  expect((await room.send('GET', '/health/ready', { key: null })).status).toBe(200);
  const id = await room.a.start(template);
  expect((await room.a.client.status(id)).status).toBe('running');
  for (const held of [id, running]) {
    const cancel = await room.send('POST', `/admin/executions/${held}/cancel`);
    expect(await cancel.json()).toMatchObject({ status: 'cancelled' });
  }
  expect((await room.a.run({ steps: { last: { type: 'noop' } } })).status).toBe('completed');
});
