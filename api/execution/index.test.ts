/** Starting, watching and stopping: the decisions of the API itself. */
import { describe, expect, test } from 'bun:test';
import { createTestApp, LOOPBACK, problemOf } from '../../tests/support/api/test-app.ts';

const START = '/api/v1/execution/start';

async function published() {
  const test = createTestApp();
  await test.send('POST', '/api/v1/templates', { name: 'a', steps: { one: { type: 'noop' } } });
  test.ports.calls.length = 0;
  return test;
}

async function started() {
  const test = await published();
  const { execution_id: id } = (await (await test.send('POST', START, { template: 'a' })).json()) as {
    execution_id: string;
  };
  test.ports.calls.length = 0;
  return { ...test, id };
}

describe('start', () => {
  test('a new execution is 202, an existing one 200', async () => {
    const { send } = await published();
    const first = await send('POST', START, { template: 'a', idempotency_key: 'order 7' });
    expect(first.status).toBe(202);
    expect(await first.json()).toMatchObject({ status: 'pending', created: true });
    const second = await send('POST', START, { template: 'a', idempotency_key: 'order 7' });
    expect(second.status).toBe(200);
    expect(await second.json()).toMatchObject({ created: false });
  });

  test('the key may stand in the header', async () => {
    const { send, ports } = await published();
    await send('POST', START, { template: 'a' }, { headers: { 'idempotency-key': 'order-7' } });
    expect(ports.calls[0]!.args).toEqual([{ template: 'a', idempotency_key: 'order-7' }]);
  });

  test('header and body that agree are one key, others are refused', async () => {
    const { send, ports } = await published();
    const init = { headers: { 'idempotency-key': 'order-7' } };
    expect((await send('POST', START, { template: 'a', idempotency_key: 'order-7' }, init)).status).toBe(202);
    await problemOf(
      await send('POST', START, { template: 'a', idempotency_key: 'order-8' }, init),
      422,
      'idempotency_mismatch',
    );
    expect(ports.calls).toHaveLength(1);
  });

  test('a key that is too long, empty or not visible is refused', async () => {
    const { send } = await published();
    for (const key of ['x'.repeat(256), 'a b', 'ümlaut']) {
      const init = { headers: { 'idempotency-key': key } };
      await problemOf(await send('POST', START, { template: 'a' }, init), 422, 'validation_failed');
    }
    for (const idempotency_key of ['', 'x'.repeat(256), 'a\nb', 7]) {
      await problemOf(
        await send('POST', START, { template: 'a', idempotency_key }),
        422,
        'validation_failed',
      );
    }
  });

  test('exactly one of template and workflow_template_id is given', async () => {
    const { send } = await published();
    for (const body of [
      {},
      { template: 'a', workflow_template_id: '11111111-1111-1111-1111-111111111111' },
    ]) {
      const { errors } = await problemOf(await send('POST', START, body), 422, 'validation_failed');
      expect(errors).toMatchObject([{ pointer: '', code: 'exactly_one' }]);
    }
  });

  test('start_after is an instant or a duration', async () => {
    const { send } = await published();
    for (const start_after of ['5m', 1500, '2027-01-31T08:00:00Z', '2027-01-31T08:00:00+02:00']) {
      expect((await send('POST', START, { template: 'a', start_after })).status).toBe(202);
    }
    for (const start_after of [
      'tomorrow',
      '1500',
      '5 m',
      1.5,
      '2027-01-31',
      '2027-01-31T08:00:00',
      '99999d',
      '-5m',
      '',
    ]) {
      await problemOf(await send('POST', START, { template: 'a', start_after }), 422, 'validation_failed');
    }
  });

  test('every field of the contract arrives as it was sent, ids in lower case', async () => {
    const { send, ports } = await published();
    const item = {
      template: 'a',
      version: 2,
      inputs: { nested: [1, null, { ok: true }] },
      idempotency_key: 'k',
      start_after: '5m',
      priority: -3,
      tags: ['x', 'ü'],
      callback_url: 'https://shop.example/done',
      user_id: '0197A3C4-5B6D-7E8F-9012-3456789ABCDE',
      workspace_id: '0197A3C4-5B6D-7E8F-9012-3456789ABCDE',
    };
    await send('POST', START, item);
    const lower = '0197a3c4-5b6d-7e8f-9012-3456789abcde';
    expect(ports.calls[0]!.args).toEqual([{ ...item, user_id: lower, workspace_id: lower }]);
  });

  test('a callback is http or https', async () => {
    const { send } = await published();
    for (const callback_url of ['file:///etc/passwd', 'javascript:alert(1)', 'shop', '']) {
      await problemOf(await send('POST', START, { template: 'a', callback_url }), 422, 'validation_failed');
    }
  });
});

describe('start-many', () => {
  test('answers in the order of the items', async () => {
    const { send } = await published();
    const response = await send('POST', '/api/v1/execution/start-many', {
      items: [{ template: 'a' }, { template: 'a' }],
    });
    expect(response.status).toBe(202);
    const { executions } = (await response.json()) as { executions: unknown[] };
    expect(executions).toHaveLength(2);
  });

  test('none and more than 1,000 items are refused', async () => {
    const { send, ports } = await published();
    for (const items of [[], Array(1_001).fill({})]) {
      const { errors } = await problemOf(
        await send('POST', '/api/v1/execution/start-many', { items }),
        422,
        'validation_failed',
      );
      expect(errors!.length).toBeLessThanOrEqual(100);
    }
    expect(ports.calls).toEqual([]);
  });

  test('a key for all is refused, since each item has its own', async () => {
    const { send } = await published();
    const init = { headers: { 'idempotency-key': 'k' } };
    await problemOf(
      await send('POST', '/api/v1/execution/start-many', { items: [{ template: 'a' }] }, init),
      422,
      'validation_failed',
    );
  });
});

describe('status', () => {
  test('include, wait and scope reach the service, a long wait cut to a minute', async () => {
    const { send, ports, id } = await started();
    await send(
      'GET',
      `/api/v1/execution/status?execution_id=${id.toUpperCase()}&include=outputs&wait=1h&scope=each%5B3%5D`,
    );
    const [askedFor, options] = ports.calls[0]!.args;
    expect(askedFor).toBe(id);
    expect(options).toMatchObject({ includeOutputs: true, waitMs: 60_000, scope: 'each[3]' });
  });

  test('a wait that is no duration is refused', async () => {
    const { send, id } = await started();
    for (const wait of ['soon', '-1s', '', '1w']) {
      await problemOf(
        await send('GET', `/api/v1/execution/status?execution_id=${id}&wait=${wait}`),
        422,
        'validation_failed',
      );
    }
  });

  test('a wait ends when the client goes away, and nothing is logged', async () => {
    const { app, ports, logged, id } = await started();
    const client = new AbortController();
    ports.executions.status = (_caller, _id, { signal }) =>
      new Promise((_resolve, reject) => {
        signal!.addEventListener('abort', () => reject(signal!.reason));
        client.abort();
      });
    const request = new Request(`http://localhost/api/v1/execution/status?execution_id=${id}&wait=30s`, {
      signal: client.signal,
    });
    const response = await app.fetch(request, LOOPBACK);
    expect(response.status).toBe(499);
    expect(logged).toEqual([]);
  });

  test('a wait answers with the present state when the server drains', async () => {
    const { app, ports, id } = await started();
    const drain = new AbortController();
    const read = ports.executions.status;
    ports.executions.status = (caller, execution, options) => {
      if (options.waitMs === 0) return read(caller, execution, options);
      return new Promise((_resolve, reject) => {
        options.signal!.addEventListener('abort', () => reject(options.signal!.reason));
        drain.abort();
      });
    };
    const url = `/api/v1/execution/status?execution_id=${id}&wait=30s`;
    const response = await app.request(url, {}, { ...LOOPBACK, draining: drain.signal });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ execution_id: id, status: 'running' });
  });
});

test('stop answers with the state and passes the reason on', async () => {
  const { send, ports, id } = await started();
  const response = await send('POST', '/api/v1/execution/stop', {
    execution_id: id,
    reason: 'no longer needed',
  });
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ execution_id: id, status: 'cancelled', stop_requested: true });
  expect(ports.calls[0]!.args).toEqual([id, 'no longer needed']);
});

test('cancel takes no body, an empty one, or a reason', async () => {
  const { send, ports, id } = await started();
  for (const body of [undefined, '', '{}', '{"reason":"x"}']) {
    expect((await send('POST', `/admin/executions/${id}/cancel`, body)).status).toBe(200);
  }
  expect(ports.calls.map(({ args }) => args[1])).toEqual([null, null, null, 'x']);
});
