/**
 * `workflow`: a step that starts an execution of another template and ends with it.
 */
import { describe, expect, test } from 'bun:test';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({
    config: { EXECUTION_ENGINE_MAX_OUTPUT_BYTES: '4KiB', EXECUTION_ENGINE_MAX_CHILD_DEPTH: '3' },
  });
});

const gives = (value: Json): JsonObject => ({ steps: { one: { type: 'transform', with: { value } } } });
const calls = (name: string, more: JsonObject = {}, step: JsonObject = {}): { steps: JsonObject } => ({
  steps: { call: { type: 'workflow', with: { name, ...more }, ...step } },
});
const LONG = { steps: { long: { type: 'delay', with: { for: '1h' } } } };
const FAILS = { steps: { no: { type: 'fail', with: { message: 'no', code: 'x' } } } };

interface Row {
  id: string;
  status: string;
  parent_attempt: number;
}

async function childrenOf(executionId: string): Promise<Row[]> {
  const { rows } = await database.pool.query(
    'select id, status, parent_attempt from workflow_executions where parent_execution_id = $1 order by id',
    [executionId],
  );
  return rows;
}

/** Waits until this many executions below have a step that waits for a time. */
async function waitingBelow(rootId: string, count: number): Promise<void> {
  await database.until(
    `select count(*) = $2 from workflow_executions e join workflow_step_executions s on s.workflow_execution_id = e.id
      where e.root_execution_id = $1 and s.status = 'waiting' and s.waiting_for is null`,
    [rootId, count],
  );
}

/** Waits until all below are final; answers their statuses. */
async function endsBelow(rootId: string): Promise<string[]> {
  await database.until(
    `select bool_and(status in ('completed', 'failed', 'cancelled', 'timed_out')) from workflow_executions
      where root_execution_id = $1`,
    [rootId],
  );
  const { rows } = await database.pool.query(
    'select status from workflow_executions where root_execution_id = $1 order by child_depth, id',
    [rootId],
  );
  return rows.map(({ status }) => status);
}

describe('a child', () => {
  test('gives its outputs to the step that waited for it, and to those that read it', async () => {
    const child = await engine.publish(gives('${{ input.x + 1 }}'));
    const definition = calls(child, { inputs: { x: '${{ input.y }}' } });
    const steps = {
      ...(definition.steps as JsonObject),
      after: { type: 'transform', needs: ['call'], with: { value: '${{ steps.call.output.one * 2 }}' } },
    };
    const end = await engine.run({ steps }, { inputs: { y: 4 } });
    expect(end).toMatchObject({ status: 'completed', outputs: { after: 10 } });
    expect(stepOf(end, 'call')).toMatchObject({ status: 'completed', outputs: { one: 5 } });
  });

  test('gives them to a step without any other, whose execution has an output that only the sandbox evaluates', async () => {
    const child = await engine.publish(gives([1, 2, 3]));
    const end = await engine.run({
      ...calls(child),
      output: '${{ steps.call.output.one.map((n) => n * 2) }}',
    });
    expect(end).toMatchObject({ status: 'completed', outputs: [2, 4, 6] });
  });

  test('takes the workspace, the user and the priority of its parent', async () => {
    const workspace_id = '0197a3c4-5b6d-7e8f-9012-3456789abcde';
    const user_id = '0197a3c4-5b6d-7e8f-9012-000000000001';
    const publish = (definition: JsonObject) =>
      database.pool.query(`update workflow_templates set workspace_id = $2 where name = $1`, [
        definition.name,
        workspace_id,
      ]);
    const child = await engine.publish(gives('${{ execution.id }}'));
    await publish({ name: child });
    const parent = await engine.publish(calls(child));
    await publish({ name: parent });
    const end = await engine.end(await engine.start(parent, { workspace_id, user_id, priority: 7 }));
    const [{ id }] = (await childrenOf(end.execution_id)) as [Row];
    expect(end.outputs).toEqual({ call: { one: id } });
    const { rows } = await database.pool.query(
      'select workspace_id, user_id, priority from workflow_executions where id = $1',
      [id],
    );
    expect(rows).toEqual([{ workspace_id, user_id, priority: 7 }]);
  });

  test('without a version is of the latest one when it starts', async () => {
    const name = await engine.publish(gives('old'));
    const parent = await engine.publish(calls(name));
    const pinned = await engine.publish(calls(name, { version: 1 }));
    await engine.publish({ name, ...gives('new') });
    expect((await engine.end(await engine.start(parent))).outputs).toEqual({ call: { one: 'new' } });
    expect((await engine.end(await engine.start(pinned))).outputs).toEqual({ call: { one: 'old' } });
  });

  test('is shown by its parent while it runs, and shows its parent', async () => {
    const id = await engine.start(await engine.publish(calls(await engine.publish(LONG))));
    await waitingBelow(id, 1);
    const [child] = (await childrenOf(id)) as [Row];
    const { body: shown } = await engine.request('GET', `/api/v1/execution/status?execution_id=${id}`);
    expect(shown).toMatchObject({
      parent: null,
      root_execution_id: id,
      steps: [
        {
          status: 'waiting',
          waiting_for: { kind: 'child', execution_id: child.id },
          children: [{ execution_id: child.id, status: 'running' }],
        },
      ],
    });
    const [{ id: stepId }] = shown.steps as [{ id: string }];
    const place = { parent: { execution_id: id, step_id: stepId }, root_execution_id: id };
    const below = await engine.request('GET', `/api/v1/execution/status?execution_id=${child.id}`);
    expect(below.body).toMatchObject(place);
    const step = await engine.request('GET', `/api/v1/steps/${stepId}`);
    expect(step.body).toMatchObject({ children: [{ execution_id: child.id, status: 'running' }] });
    await engine.client.cancel(id);
    expect(await endsBelow(id)).toEqual(['cancelled']);
  });

  test('is in lists only when its parent or its root is named', async () => {
    const leaf = await engine.publish(gives(1));
    const middle = await engine.publish(calls(leaf));
    const { execution_id: root } = await engine.run(calls(middle));
    const [{ id: child }] = (await childrenOf(root)) as [Row];
    const [{ id: grandchild }] = (await childrenOf(child)) as [Row];
    const list = async (query: string) => {
      const { body } = await engine.request('GET', `/admin/executions?limit=500&${query}`);
      return (body.data as { execution_id: string }[]).map(({ execution_id }) => execution_id);
    };
    const roots = await list('');
    expect(roots).toContain(root);
    expect(roots).not.toContain(child);
    expect(await list(`parent=${root}`)).toEqual([child]);
    expect(await list(`parent=${child}`)).toEqual([grandchild]);
    expect((await list(`root=${root}`)).sort()).toEqual([root, child, grandchild].sort());
  });

  test('inside an item of a foreach gives its outputs to the step of that item', async () => {
    const child = await engine.publish(gives('${{ input.n * 10 }}'));
    const { steps } = calls(child, { inputs: { n: '${{ item }}' } });
    const output = '${{ steps.call.output.one }}';
    const end = await engine.run({
      steps: { each: { type: 'foreach', with: { items: 12, steps, output, concurrency: 5 } } },
    });
    expect(end.outputs).toEqual({ each: Array.from({ length: 12 }, (_, n) => n * 10) });
  });
});

describe('a child with scopes of its own', () => {
  test('ends its step with its own end, not with that of a scope', async () => {
    const inner = {
      one: { type: 'transform', with: { value: '${{ item }}' } },
      gate: { type: 'gate', when: '${{ item === 2 }}', with: { name: 'last-item' } },
    };
    const child = await engine.publish({
      steps: { each: { type: 'foreach', with: { items: 3, concurrency: 1, steps: inner } } },
      output: '${{ steps.each.output.length }}',
    });
    const id = await engine.start(await engine.publish(calls(child)));
    await database.until(
      `select exists (select 1 from test_runs r join workflow_executions e on e.id = r.execution_id
                       where e.root_execution_id = $1)`,
      [id],
    );
    // What was told to the parent has been heard.
    await database.until('select count(*) = 0 from workflow_inbox where workflow_execution_id = $1', [id]);
    const { rows } = await database.pool.query(
      'select status from workflow_step_executions where workflow_execution_id = $1',
      [id],
    );
    expect(rows).toEqual([{ status: 'waiting' }]);
    await database.openGate('last-item');
    expect(await engine.end(id)).toMatchObject({ status: 'completed', outputs: { call: 3 } });
  });
});

describe('a step fails', () => {
  test('when its child fails, and says which child it was and why', async () => {
    const end = await engine.run(calls(await engine.publish(FAILS)));
    expect(end).toMatchObject({ status: 'failed', error: { code: 'child_failed', step: 'call' } });
    const [{ id }] = (await childrenOf(end.execution_id)) as [Row];
    expect(stepOf(end, 'call').error).toMatchObject({
      details: { execution_id: id, error: { code: 'x', message: 'no', step: 'no' } },
    });
  });

  test('only after its retries, of which each starts a child of its own', async () => {
    const retry = { limit: 2, delay: 1, jitter: false };
    const end = await engine.run(calls(await engine.publish(FAILS), {}, { retry }));
    expect(stepOf(end, 'call')).toMatchObject({ status: 'failed', attempt_count: 3 });
    const children = await childrenOf(end.execution_id);
    expect(children.map(({ status, parent_attempt }) => [status, parent_attempt])).toEqual([
      ['failed', 1],
      ['failed', 2],
      ['failed', 3],
    ]);
    expect(stepOf(end, 'call').children).toEqual(
      children.map(({ id }) => ({ execution_id: id, status: 'failed' as const })),
    );
  });

  test('when its child times out', async () => {
    const end = await engine.run(calls(await engine.publish({ ...LONG, timeout: 5 })));
    expect(end).toMatchObject({ status: 'failed', error: { code: 'child_timed_out' } });
  });

  test('when its child is cancelled, and is not retried', async () => {
    const retry = { limit: 5, delay: 1 };
    const id = await engine.start(await engine.publish(calls(await engine.publish(LONG), {}, { retry })));
    await waitingBelow(id, 1);
    const [{ id: child }] = (await childrenOf(id)) as [Row];
    await engine.client.cancel(child);
    const end = await engine.end(id);
    expect(end).toMatchObject({ status: 'failed', error: { code: 'child_cancelled' } });
    expect(stepOf(end, 'call').attempt_count).toBe(1);
  });

  test.each([
    ['template_not_found', async () => calls('nobody-has-this-name')],
    ['template_not_found', async () => calls(await engine.publish(gives(1)), { version: 99 })],
    [
      'template_not_found',
      async () => {
        const name = await engine.publish(gives(1));
        await engine.request('DELETE', `/api/v1/templates/${name}`);
        return calls(name);
      },
    ],
    [
      'invalid_inputs',
      async () => {
        const input = { type: 'object', required: ['x'] };
        return calls(await engine.publish({ input, ...gives(1) }), { inputs: {} });
      },
    ],
  ])('with %s when there is no such child to start, without a retry', async (code, definition) => {
    const { steps } = await definition();
    const { call } = steps as { call: JsonObject };
    const end = await engine.run({ steps: { call: { ...call, retry: { limit: 3, delay: 1 } } } });
    expect(end).toMatchObject({ status: 'failed', error: { code } });
    expect(stepOf(end, 'call').attempt_count).toBe(1);
    expect(await childrenOf(end.execution_id)).toEqual([]);
  });

  test('when its child would be too deep: a template that calls itself ends', async () => {
    const name = 'calls-itself';
    const end = await engine.run({ name, ...calls(name) });
    expect(end).toMatchObject({ status: 'failed', error: { code: 'child_failed' } });
    const { rows } = await database.pool.query(
      `select child_depth, error ->> 'code' as code from workflow_executions
        where root_execution_id = $1 order by child_depth`,
      [end.execution_id],
    );
    expect(rows).toEqual([
      { child_depth: 1, code: 'child_failed' },
      { child_depth: 2, code: 'child_failed' },
      { child_depth: 3, code: 'child_too_deep' },
    ]);
  });

  test('when the outputs of its child are larger than an output may be', async () => {
    const part = { type: 'transform', with: { value: 'x'.repeat(3_000) } };
    const child = await engine.publish({ steps: { a: part, b: part } });
    const end = await engine.run(calls(child));
    expect(end).toMatchObject({ status: 'failed', error: { code: 'output_not_storable' } });
  });
});

describe('children end with the execution that waits for them', () => {
  /** A tree of three: the deepest waits for an hour. */
  async function tree(more: JsonObject = {}): Promise<string> {
    const middle = await engine.publish(calls(await engine.publish(LONG)));
    const { steps } = calls(middle);
    return engine.publish({ ...more, steps: { ...steps, ...(more.steps as JsonObject) } });
  }

  test('when it is cancelled, at every depth', async () => {
    const id = await engine.start(await tree());
    await waitingBelow(id, 1);
    await engine.client.cancel(id);
    expect(await endsBelow(id)).toEqual(['cancelled', 'cancelled']);
  });

  test('when it is stopped: running handlers below get their grace time', async () => {
    const child = await engine.publish({
      steps: {
        gate: { type: 'deaf', with: { name: 'graceful' } },
        never: { type: 'noop', needs: ['gate'] },
      },
    });
    const id = await engine.start(await engine.publish(calls(child)));
    await database.until(
      `select exists (select 1 from test_runs r join workflow_executions e on e.id = r.execution_id
                       where e.root_execution_id = $1)`,
      [id],
    );
    const { body } = await engine.request('POST', '/api/v1/execution/stop', { execution_id: id });
    expect(body).toMatchObject({ status: 'cancelled' });
    await database.until(
      'select stop_requested_at is not null from workflow_executions where root_execution_id = $1',
      [id],
    );
    await database.openGate('graceful');
    expect(await endsBelow(id)).toEqual(['cancelled']);
    const [{ id: below }] = (await childrenOf(id)) as [Row];
    const end = await engine.end(below);
    expect(stepOf(end, 'gate').status).toBe('completed');
    expect(stepOf(end, 'never').status).toBe('cancelled');
  });

  test('when it is cancelled after a stop: no grace time is left', async () => {
    const child = await engine.publish({ steps: { gate: { type: 'gate', with: { name: 'never' } } } });
    const { steps } = calls(child);
    const parent = await engine.publish({
      steps: { ...steps, own: { type: 'deaf', with: { name: 'own' } } },
    });
    const id = await engine.start(parent);
    await database.until(
      `select count(*) = 2 from test_runs r join workflow_executions e on e.id = r.execution_id
        where e.id = $1 or e.root_execution_id = $1`,
      [id],
    );
    await engine.request('POST', '/api/v1/execution/stop', { execution_id: id });
    await engine.client.cancel(id);
    expect(await endsBelow(id)).toEqual(['cancelled']);
    await database.openGate('own');
  });

  test('when it fails: they are stopped', async () => {
    const failing = {
      gate: { type: 'gate', with: { name: 'fail-now' } },
      no: { needs: ['gate'], ...FAILS.steps.no },
    };
    const id = await engine.start(await tree({ steps: failing }));
    await waitingBelow(id, 1);
    await database.openGate('fail-now');
    expect((await engine.end(id)).status).toBe('failed');
    expect(await endsBelow(id)).toEqual(['cancelled', 'cancelled']);
  });

  test('when it times out', async () => {
    const id = await engine.start(await tree({ timeout: 500 }));
    expect((await engine.end(id)).status).toBe('timed_out');
    expect((await endsBelow(id)).every((status) => status === 'cancelled')).toBe(true);
  });

  test('when their step times out: the next attempt has a child of its own', async () => {
    const child = await engine.publish({
      steps: { gate: { type: 'gate', with: { name: 'second-${{ input.n }}' } } },
    });
    const end = await engine.run(
      calls(child, {}, { timeout: 150, retry: { limit: 1, delay: 1, jitter: false } }),
    );
    expect(end).toMatchObject({ status: 'failed', error: { code: 'timeout' } });
    expect(await endsBelow(end.execution_id)).toEqual(['cancelled', 'cancelled']);
  });

  test('when their step loses a race', async () => {
    const slow = await engine.publish(LONG);
    const race = {
      quick: { type: 'gate', with: { name: 'race' } },
      slow: { type: 'workflow', with: { name: slow } },
      first: { type: 'noop', needs: ['quick', 'slow'], join: { atLeast: 1, cancelLosers: true } },
    };
    const id = await engine.start(await engine.publish({ steps: race }));
    await waitingBelow(id, 1);
    await database.openGate('race');
    const end = await engine.end(id);
    expect(end.status).toBe('completed');
    expect(stepOf(end, 'slow').status).toBe('cancelled');
    expect(await endsBelow(id)).toEqual(['cancelled']);
  });

  test.each(['cancel', 'stop'])(
    'on %s also when their step is in an item of a foreach in a foreach',
    async (how) => {
      const { steps } = calls(await engine.publish(LONG));
      const inner = { inner: { type: 'foreach', with: { items: 2, steps } } };
      const outer = { outer: { type: 'foreach', with: { items: 2, steps: inner } } };
      const id = await engine.start(await engine.publish({ steps: outer }));
      await waitingBelow(id, 4);
      if (how === 'cancel') await engine.client.cancel(id);
      else await engine.request('POST', '/api/v1/execution/stop', { execution_id: id });
      expect((await engine.end(id)).status).toBe('cancelled');
      expect(await endsBelow(id)).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled']);
    },
  );

  test('when a failed item of a foreach cancels the others', async () => {
    const long = await engine.publish(LONG);
    const steps = {
      call: { type: 'workflow', when: '${{ item > 0 }}', with: { name: long } },
      gate: { type: 'gate', when: '${{ item === 0 }}', with: { name: 'item' } },
      no: { ...FAILS.steps.no, needs: ['gate'] },
    };
    const alert = { type: 'noop', needs: [{ step: 'each', on: 'failure' }] };
    const id = await engine.start(
      await engine.publish({ steps: { each: { type: 'foreach', with: { items: 3, steps } }, alert } }),
    );
    await waitingBelow(id, 2);
    await database.openGate('item');
    expect((await engine.end(id)).status).toBe('completed');
    expect(await endsBelow(id)).toEqual(['cancelled', 'cancelled']);
  });
});

describe('an execution undoes what it has completed only when its children are final', () => {
  /** A child that ends when its handler has heard of the stop and its gate is open, and undoes a step of its own then. */
  const slow = (gate: string): JsonObject => ({
    steps: {
      first: { type: 'record', with: { value: 'x' }, compensateWith: { type: 'record' } },
      deaf: { type: 'deaf', needs: ['first'], with: { name: gate } },
    },
  });
  const done = { type: 'record', with: { value: 'y' }, compensateWith: { type: 'record' } };

  /** Returns whether the compensation of the parent begins after the ends of all children below. */
  async function comesLast(id: string): Promise<boolean> {
    const { rows } = await database.pool.query(
      `select u.created_at >= all (select c.completed_at from workflow_executions c where c.root_execution_id = $1) as last
         from workflow_step_executions u join workflow_step_templates t on t.id = u.step_template_id
        where u.workflow_execution_id = $1 and t.key like '%~compensation'`,
      [id],
    );
    return rows.length === 1 && rows[0].last;
  }

  const inScopes = (call: JsonObject): JsonObject => ({
    each: {
      type: 'foreach',
      needs: ['done'],
      with: {
        items: 2,
        steps: { inner: { type: 'foreach', with: { items: 1, steps: { call } } } },
      },
    },
  });
  test.each([
    ['stop', 'at the top level'],
    ['stop', 'in items of items'],
    ['failure', 'at the top level'],
    ['failure', 'in items of items'],
    ['timeout', 'at the top level'],
    ['timeout', 'in items of items'],
  ])('after a %s, with a child that runs %s', async (how, where) => {
    const gate = `${how} ${where}`;
    const count = where === 'at the top level' ? 1 : 2;
    const child = await engine.publish(slow(gate));
    const { call: callSlow } = calls(child).steps as { call: JsonObject };
    const middle = await engine.publish({ steps: { done, call: { ...callSlow, needs: ['done'] } } });
    const call = { type: 'workflow', with: { name: middle } };
    const parent = await engine.publish({
      ...(how === 'timeout' ? { timeout: 1_500 } : {}),
      steps: {
        done,
        ...(where === 'at the top level' ? { call: { ...call, needs: ['done'] } } : inScopes(call)),
        own: { type: 'gate', needs: ['done'], with: { name: `${gate} own` } },
        no: { ...FAILS.steps.no, needs: ['own'] },
      },
    });
    const id = await engine.start(parent);
    const runs = () =>
      database.until(
        `select count(*) = $2 from test_runs r join workflow_executions e on e.id = r.execution_id
          where e.root_execution_id = $1 and r.step = 'deaf'`,
        [id, count],
      );
    await runs();
    if (how === 'stop') await engine.client.stop(id);
    if (how === 'failure') await database.openGate(`${gate} own`);
    await database.until(
      `select count(*) = $2 from workflow_executions
        where root_execution_id = $1 and child_depth = 2 and status = 'compensating'`,
      [id, count],
    );
    const { rows } = await database.pool.query('select status from workflow_executions where id = $1', [id]);
    expect(rows).toEqual([{ status: 'compensating' }]);
    await database.openGate(gate);
    const end = await engine.end(id);
    const due = { stop: 'cancelled', failure: 'failed', timeout: 'timed_out' }[how];
    expect(end).toMatchObject({ status: due!, uncertain: [] });
    expect(stepOf(end, 'done').compensation).toMatchObject({ status: 'completed' });
    expect(new Set(await endsBelow(id))).toEqual(new Set(['cancelled']));
    expect(await comesLast(id)).toBe(true);
  });

  test('and a cancel meanwhile ends it at once, and the children with it', async () => {
    const child = await engine.publish({ steps: { deaf: { type: 'deaf', with: { name: 'not-undone' } } } });
    const { call } = calls(child).steps as { call: JsonObject };
    const id = await engine.start(
      await engine.publish({ steps: { done, call: { ...call, needs: ['done'] } } }),
    );
    await database.until(
      `select true from workflow_step_executions s join workflow_executions e on e.id = s.workflow_execution_id
        where e.root_execution_id = $1 and e.id <> $1 and s.status = 'running'`,
      [id],
    );
    await engine.client.stop(id);
    await engine.client.cancel(id);
    await database.openGate('not-undone');
    expect(await endsBelow(id)).toEqual(['cancelled']);
    const end = await engine.end(id);
    expect(end.status).toBe('cancelled');
    expect(stepOf(end, 'done').compensation).toBeNull();
  });
});

describe('a child that is not waited for', () => {
  test('leaves its step its id, and goes on when the parent is cancelled', async () => {
    const child = await engine.publish({ steps: { gate: { type: 'gate', with: { name: 'alone' } } } });
    const { steps } = calls(child, { wait: false });
    const parent = await engine.publish({
      steps: { ...steps, long: { ...LONG.steps.long, needs: ['call'] } },
    });
    const id = await engine.start(parent);
    await database.until(
      `select exists (select 1 from test_runs r join workflow_executions e on e.id = r.execution_id
                       where e.root_execution_id = $1)`,
      [id],
    );
    await engine.client.cancel(id);
    const end = await engine.end(id);
    const [{ id: below }] = (await childrenOf(id)) as [Row];
    expect(stepOf(end, 'call')).toMatchObject({
      status: 'completed',
      outputs: { execution_id: below },
      children: [{ execution_id: below, status: 'running' }],
    });
    await database.openGate('alone');
    expect((await engine.end(below)).status).toBe('completed');
  });
});
