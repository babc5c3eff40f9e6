/**
 * SIGTERM and restarts: what runs may finish, what does not is handed back, and nothing is lost in between.
 */
import { expect, test } from 'bun:test';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { type EngineDatabase, type EngineProcess, statuses, stepOf } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';
import { until } from '../../support/until.ts';

let database: EngineDatabase;

const fixture = fixtureForEach(async () => {
  database = await fixture.database();
});

const start = (name: string, config: Record<string, string> = {}) => fixture.engineProcess({ name, config });

/** The engine that goes on: it is not told to end, so it needs no process. */
const follow = (config: Record<string, string> = {}) => fixture.engine({ name: 'second', config });

async function terminate(engine: EngineProcess): Promise<void> {
  engine.kill('SIGTERM');
  const code = await engine.exited;
  if (code !== 0) throw new Error(`Exit code ${code}:\n${engine.output()}`);
}

const running = (id: string, count: number) =>
  database.until('select count(*) = $2 from test_runs where execution_id = $1', [id, count]);

test('a step that ends within the grace time is recorded, and what it made ready is left to the next engine', async () => {
  const first = await start('first', { EXECUTION_ENGINE_DRAIN_GRACE: '1m' });
  const template = await first.publish({
    steps: {
      slow: { type: 'gate', with: { name: 'slow', value: 'done in time' } },
      next: { type: 'record', needs: ['slow'], with: { value: '${{ inputs.slow }}' } },
    },
  });
  const id = await first.start(template);
  await running(id, 1);
  const idle = await first.publish({ steps: { a: { type: 'noop' } } });
  const over = terminate(first);
  // Until it begins nothing more: what is started then lines up.
  let probe = await first.start(idle);
  while ((await first.client.status(probe)).status !== 'pending') probe = await first.start(idle);
  await database.openGate('slow');
  await over;
  await assertInvariants(database.url, { allFinal: false });

  const second = await follow();
  await second.end(probe);
  const end = await second.end(id);
  expect(end.outputs).toEqual({ next: 'done in time' });
  expect((await database.runs(id)).map(({ engine, step }) => [engine, step])).toEqual([
    ['first', 'slow'],
    ['second', 'next'],
  ]);
});

test('a step that does not end within the grace time is handed back and uses no attempt', async () => {
  const first = await start('first', { EXECUTION_ENGINE_DRAIN_GRACE: '50ms' });
  const template = await first.publish({
    steps: {
      deaf: { type: 'deaf', with: { name: 'never-for-first' } },
      polite: { type: 'gate', with: { name: 'never-for-first' } },
    },
  });
  const id = await first.start(template);
  await running(id, 2);
  await terminate(first);
  const { rows } = await database.pool.query(
    `select status, attempt_count, retry_count, claimed_by from workflow_step_executions where workflow_execution_id = $1`,
    [id],
  );
  const handedBack = { status: 'queued', attempt_count: 0, retry_count: 0, claimed_by: null };
  expect(rows).toEqual([handedBack, handedBack]);
  await assertInvariants(database.url, { allFinal: false });

  await database.openGate('never-for-first');
  const second = await follow();
  const end = await second.end(id);
  expect(end.status).toBe('completed');
  expect(['deaf', 'polite'].map((key) => stepOf(end, key).attempt_count)).toEqual([1, 1]);
});

test('what an engine hands back its peer goes on with at once', async () => {
  const first = await start('first', { EXECUTION_ENGINE_DRAIN_GRACE: '0ms' });
  const template = await first.publish({ steps: { g: { type: 'gate', with: { name: 'peer' } } } });
  const id = await first.start(template);
  await running(id, 1);
  const second = await follow();
  await terminate(first);
  await running(id, 2);
  await database.openGate('peer');
  expect((await second.end(id)).status).toBe('completed');
  expect((await database.runs(id)).map(({ engine, attempt }) => [engine, attempt])).toEqual([
    ['first', 1],
    ['second', 1],
  ]);
});

test('a draining engine refuses new starts or begins none of them, and loses none that it took', async () => {
  const first = await start('first');
  const template = await first.publish({
    steps: { a: { type: 'record' }, b: { type: 'record', needs: ['a'] } },
  });
  const accepted: string[] = [];
  let refused = 0;
  const loading = (async () => {
    while (refused === 0) {
      await first.client.start({ template }).then(
        ({ execution_id }) => accepted.push(execution_id),
        () => {
          refused += 1;
        },
      );
    }
  })();
  await database.until('select count(*) > 20 from workflow_executions');
  await terminate(first);
  await loading;
  await assertInvariants(database.url, { allFinal: false });
  const second = await follow();
  for (const id of accepted) expect((await second.end(id)).status).toBe('completed');
  const { rows } = await database.pool.query(
    'select max(count)::integer as most from (select count(*) from test_runs group by step_id) runs',
  );
  expect(rows[0].most).toBe(1);
  await database.until(`select count(*) = 0 from workflow_executions where completed_at is null`);
});

test('a restart goes on with pending, queued, waiting and retrying rows', async () => {
  const config = { EXECUTION_ENGINE_CONCURRENCY: '1', EXECUTION_ENGINE_DRAIN_GRACE: '0ms' };
  const first = await start('first', config);
  const delayed = await first.start(
    await first.publish({
      steps: { wait: { type: 'delay', with: { for: '1h' } }, a: { type: 'record', needs: ['wait'] } },
    }),
  );
  await database.until(`select count(*) = 1 from workflow_step_executions where status = 'waiting'`);
  const retrying = await first.start(
    await first.publish({
      steps: {
        f: { type: 'flaky', with: { failures: 1 }, retry: { limit: 1, delay: '1h', jitter: false } },
      },
    }),
  );
  await database.until(`select count(*) = 1 from workflow_step_executions where status = 'retrying'`);
  const queued = await first.start(
    await first.publish({
      steps: { hold: { type: 'gate', with: { name: 'restart' } }, q: { type: 'record' } },
    }),
  );
  await running(queued, 1);
  const later = await first.start(await first.publish({ steps: { p: { type: 'record' } } }), {
    start_after: '1h',
  });
  await terminate(first);

  const { rows } = await database.pool.query(
    `select status, count(*)::integer as count from workflow_step_executions group by status order by status`,
  );
  expect(rows.filter(({ status }) => status === 'running')).toEqual([]);
  await assertInvariants(database.url, { allFinal: false });

  // Their time comes now: a short one might be over before anybody has looked.
  await database.pool.query('update pgboss.job set start_after = now() where start_after > now()');
  await database.openGate('restart');
  const second = await follow(config);
  const ends = await Promise.all([delayed, retrying, queued, later].map((id) => second.end(id)));
  expect(ends.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed', 'completed']);
  expect(statuses(ends[0]!)).toEqual({ wait: 'completed', a: 'completed' });
  expect(stepOf(ends[1]!, 'f').attempt_count).toBe(2);
});

test('SIGTERM with nothing to do ends at once with exit code 0, also sent twice', async () => {
  const engine = await start('idle');
  engine.kill('SIGTERM');
  await terminate(engine);
  const { rows } = await database.pool.query('select count(*)::integer as engines from execution_engines');
  expect(rows[0].engines).toBe(0);
});

test('peers that switch protocols hold up no step and no stop: what runs is handed back, and callbacks come again', async () => {
  const asked: string[] = [];
  await using peer = await switchingPeer((path) => asked.push(path));
  const config = { EXECUTION_ENGINE_DRAIN_GRACE: '50ms', EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1' };
  const first = await start('first', config);
  const failing = await first.publish({
    steps: { call: { type: 'http', with: { url: `${peer.origin}/step` } } },
  });
  const id = await first.start(failing, { callback_url: `${peer.origin}/callback` });
  expect((await first.end(id)).error).toMatchObject({ code: 'http_invalid_response' });
  await until(() => asked.includes('/callback'));
  const hanging = await first.publish({ steps: { deaf: { type: 'deaf', with: { name: 'never' } } } });
  const held = await first.start(hanging);
  await running(held, 1);
  await terminate(first);
  const { rows } = await database.pool.query(
    `select (select status from workflow_step_executions where workflow_execution_id = $1) as step,
            (select count(*)::integer from pgboss.job where data ->> 'execution_id' = $2) as callbacks`,
    [held, id],
  );
  expect(rows).toEqual([{ step: 'queued', callbacks: 1 }]);
  await assertInvariants(database.url, { allFinal: false });

  peer.answer = 'HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n';
  await database.openGate('never');
  // Its next call may be put off by now.
  await database.pool.query(`update pgboss.job set start_after = now() where data ->> 'execution_id' = $1`, [
    id,
  ]);
  const second = await follow(config);
  await second.end(held);
  await database.until(`select count(*) = 0 from pgboss.job where data ->> 'execution_id' = $1`, [id]);
});

/** A peer that answers every request by switching to another protocol, and then keeps silent. */
async function switchingPeer(onRequest: (path: string) => void) {
  const sockets = new Set<Socket>();
  const peer = { answer: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n' };
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', (bytes) => {
      onRequest(bytes.toString().split(' ')[1]!);
      socket.write(peer.answer);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(peer, {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
