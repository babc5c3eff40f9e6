/**
 * What flows over edges: failures that are handled, guards, routes, merges, outputs.
 */
import { describe, expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine();
});

const broken = {
  type: 'flaky',
  with: { failures: 9, retryable: false, message: 'broke', details: { at: 3 } },
};
const record = (value: unknown, needs: unknown[] = []) => ({
  type: 'record',
  with: { value: value as string },
  ...(needs.length === 0 ? {} : { needs: needs as string[] }),
});

describe('a failure', () => {
  test('that a failure edge handles does not fail the execution, and its data is code, message and details', async () => {
    const end = await engine.run({
      steps: {
        broken,
        rescue: record('${{ inputs.broken }}', [{ step: 'broken', on: 'failure' }]),
        seen: record('${{ [steps.broken.output, steps.broken.status, steps.broken.error.code] }}', [
          'rescue',
        ]),
        never: record(1, ['broken']),
      },
    });
    expect(end).toMatchObject({ status: 'completed', error: null });
    expect(statuses(end)).toEqual({
      broken: 'failed',
      rescue: 'completed',
      seen: 'completed',
      never: 'skipped',
    });
    expect(stepOf(end, 'rescue').outputs).toEqual({ code: 'flaky', message: 'broke', details: { at: 3 } });
    expect(end.outputs).toEqual({ seen: [null, 'failed', 'flaky'] });
  });

  test('that an always edge meets is handled, and of a completed step always gets the output', async () => {
    const end = await engine.run({
      steps: {
        broken,
        fine: record('ok'),
        both: record('${{ [inputs.broken.code, inputs.fine] }}', [
          { step: 'broken', on: 'always' },
          { step: 'fine', on: 'always' },
        ]),
      },
    });
    expect(end.outputs).toEqual({ both: ['flaky', 'ok'] });
  });

  test('that nobody handles ends the execution at once, aborts what runs and cancels the rest', async () => {
    const id = await engine.start(
      await engine.publish({
        steps: {
          broken: { ...broken, needs: ['gate'] },
          gate: { type: 'gate', with: { name: 'unhandled' } },
          busy: { type: 'until-aborted' },
          after: record(1, ['busy']),
        },
      }),
    );
    await database.until('select count(*) = 2 from test_runs where execution_id = $1', [id]);
    await database.openGate('unhandled');
    const end = await engine.end(id);
    expect(end).toMatchObject({
      status: 'failed',
      error: { code: 'flaky', message: 'broke', step: 'broken' },
      outputs: null,
    });
    expect(statuses(end)).toEqual({
      broken: 'failed',
      gate: 'completed',
      busy: 'cancelled',
      after: 'cancelled',
    });
    await database.until('select true from test_runs where execution_id = $1 and note = $2', [
      id,
      'cancelled',
    ]);
  });

  test('with onFailure continue lets the other branches run to their end and names the first failed step', async () => {
    const end = await engine.run({
      onFailure: 'continue',
      steps: {
        broken,
        skipped: record(1, ['broken']),
        a: record(1),
        b: record(2, ['a']),
        c: record(3, ['b']),
      },
    });
    expect(end).toMatchObject({ status: 'failed', error: { code: 'flaky', step: 'broken' }, outputs: null });
    expect(statuses(end)).toEqual({
      broken: 'failed',
      skipped: 'skipped',
      a: 'completed',
      b: 'completed',
      c: 'completed',
    });
  });

  test('of the step that handles a failure is judged on its own', async () => {
    const end = await engine.run({
      steps: {
        broken,
        worse: {
          type: 'fail',
          needs: [{ step: 'broken', on: 'failure' }],
          with: { code: 'worse', message: 'w' },
        },
      },
    });
    expect(end).toMatchObject({ status: 'failed', error: { code: 'worse', step: 'worse' } });
  });

  test('does not reach always edges through a skipped step', async () => {
    const end = await engine.run({
      steps: {
        root: { ...record(1), when: false },
        never: record(1, [{ step: 'root', on: 'always' }]),
      },
    });
    expect(end).toMatchObject({ status: 'completed', outputs: {} });
    expect(statuses(end)).toEqual({ root: 'skipped', never: 'skipped' });
  });
});

describe('a guard', () => {
  test('that is falsy skips the step and what only it leads to, with no attempt', async () => {
    const end = await engine.run(
      {
        steps: {
          no: { ...record(1), when: '${{ input.go }}' },
          after: record(1, ['no']),
          yes: { ...record(2), when: '${{ !input.go }}' },
          join: record('${{ Object.keys(inputs) }}', ['no', 'yes']),
        },
      },
      { inputs: { go: 0 } },
    );
    expect(statuses(end)).toEqual({ no: 'skipped', after: 'skipped', yes: 'completed', join: 'completed' });
    expect(stepOf(end, 'no').attempt_count).toBe(0);
    expect(end.outputs).toEqual({ join: ['yes'] });
    expect(stepOf(end, 'join').received_inputs).toEqual([
      { key: 'no', live: false, route: null },
      { key: 'yes', live: true, route: null },
    ]);
  });

  test('with an error fails the step with no attempt and no retry', async () => {
    const end = await engine.run({
      steps: { g: { ...record(1), when: '${{ input.nothing.there }}', retry: { limit: 3, delay: '1ms' } } },
    });
    expect(end).toMatchObject({ status: 'failed', error: { code: 'expression_failed', step: 'g' } });
    expect(stepOf(end, 'g')).toMatchObject({
      status: 'failed',
      attempt_count: 0,
      error: { code: 'expression_failed' },
    });
    expect(await database.runs(end.execution_id)).toEqual([]);
  });

  test('is not asked again when the step is retried', async () => {
    const end = await engine.run({
      steps: {
        f: { type: 'flaky', when: '${{ true }}', with: { failures: 1 }, retry: { limit: 1, delay: '1ms' } },
      },
    });
    expect(stepOf(end, 'f')).toMatchObject({ status: 'completed', attempt_count: 2 });
  });

  test('on every root completes an execution in which everything is skipped', async () => {
    const end = await engine.run({
      steps: { a: { ...record(1), when: false }, b: { ...record(1), when: false } },
    });
    expect(end).toMatchObject({ status: 'completed', outputs: {}, progress: { total: 2, skipped: 2 } });
  });
});

describe('an expression', () => {
  test('that throws fails the step with expression_failed, not retried', async () => {
    const end = await engine.run({
      steps: {
        a: record(null),
        b: { ...record('${{ steps.a.output.property }}', ['a']), retry: { limit: 3, delay: '1ms' } },
      },
    });
    expect(stepOf(end, 'b')).toMatchObject({ attempt_count: 1, error: { code: 'expression_failed' } });
  });

  test('that needs the sandbox gives the same as one that does not', async () => {
    const end = await engine.run(
      {
        steps: {
          a: record({
            plain: '${{ input.n }}',
            sandboxed: '${{ [1,2,3].map((x) => x * input.n).reduce((a, b) => a + b) }}',
            text: 'n=${{ input.n }}, ${{ null }}, ${{ ({a: 1}) }}',
          }),
        },
      },
      { inputs: { n: 2 } },
    );
    expect(end.outputs).toEqual({ a: { plain: 2, sandboxed: 12, text: 'n=2, , {"a":1}' } });
  });

  test('that never ends is stopped and takes nobody along', async () => {
    const end = await engine.run({
      onFailure: 'continue',
      steps: {
        bomb: record('${{ (() => { for (;;); })() }}'),
        neighbour: record('${{ [1].map((x) => x)[0] }}'),
      },
    });
    expect(statuses(end)).toEqual({ bomb: 'failed', neighbour: 'completed' });
  });
});

describe('the output of an execution', () => {
  test('is by default that of the leaves that completed', async () => {
    const end = await engine.run({
      steps: { a: record(1), b: record(2, ['a']), c: { ...record(3), when: false }, d: record(null) },
    });
    expect(end.outputs).toEqual({ b: 2, d: null });
  });

  test('is what its expression says, native or sandboxed', async () => {
    const steps = { a: record({ n: 20 }), b: record(22) };
    const native = await engine.run({ output: '${{ steps.a.output.n }}', steps });
    expect(native.outputs).toBe(20);
    const sandboxed = await engine.run(
      {
        output: {
          sum: '${{ [steps.a.output.n, steps.b.output].reduce((x, y) => x + y) }}',
          who: '${{ input.who }}',
        },
        steps,
      },
      { inputs: { who: 'me' } },
    );
    expect(sandboxed.outputs).toEqual({ sum: 42, who: 'me' });
  });

  test('fails the execution with output_failed when it throws, native or sandboxed', async () => {
    for (const output of ['${{ steps.a.output.x.y }}', '${{ [1].map(() => { throw new Error("no") }) }}']) {
      const end = await engine.run({ output, steps: { a: record({}) } });
      expect(end).toMatchObject({
        status: 'failed',
        error: { code: 'output_failed', step: null },
        outputs: null,
      });
      expect(statuses(end)).toEqual({ a: 'completed' });
    }
  });
});

describe('a switch', () => {
  const definition = {
    steps: {
      decide: {
        type: 'switch',
        with: {
          cases: [
            { route: 'big', when: '${{ input.n > 100 }}' },
            { route: 'even', when: '${{ input.n % 2 === 0 }}' },
          ],
          default: 'other',
        },
      },
      big: record('big', [{ step: 'decide', route: 'big' }]),
      even: record('even', [{ step: 'decide', route: 'even' }]),
      other: record('other', [{ step: 'decide', route: 'other' }]),
      joined: { type: 'merge', needs: ['big', 'even', 'other'] },
      route: record('${{ steps.decide.route }}', ['decide']),
    },
  };

  test.each([
    [102, 'big'],
    [2, 'even'],
    [3, 'other'],
  ])('of %p takes the route %p and no other', async (n, route) => {
    const end = await engine.run(definition, { inputs: { n } });
    expect(end.outputs).toEqual({ joined: { [route]: route }, route });
    expect(
      stepOf(end, 'joined')
        .received_inputs.filter(({ live }) => live)
        .map(({ key }) => key),
    ).toEqual([route]);
    expect(stepOf(end, route).received_inputs).toEqual([{ key: 'decide', live: true, route }]);
  });

  test('without a true case and a default makes no routed edge live', async () => {
    const end = await engine.run({
      steps: {
        decide: { type: 'switch', with: { cases: [{ route: 'never', when: '${{ false }}' }] } },
        never: record(1, [{ step: 'decide', route: 'never' }]),
        plain: record(2, ['decide']),
      },
    });
    expect(statuses(end)).toEqual({ decide: 'completed', never: 'skipped', plain: 'completed' });
  });
});

describe('a merge', () => {
  const merged = (mode: string, a: unknown, b: unknown) =>
    engine.run({
      steps: { a: record(a), b: record(b), m: { type: 'merge', needs: ['b', 'a'], with: { mode } } },
    });

  test('collects, combines or appends in the order of needs', async () => {
    expect((await merged('collect', 1, 2)).outputs).toEqual({ m: { b: 2, a: 1 } });
    expect((await merged('combine', { x: 1, y: 1 }, { x: 2 })).outputs).toEqual({ m: { x: 1, y: 1 } });
    expect((await merged('append', [1, [2]], 3)).outputs).toEqual({ m: [3, 1, [2]] });
  });

  test('fails when it is to combine what is no object', async () => {
    expect((await merged('combine', 1, { x: 2 })).status).toBe('failed');
  });
});

describe('a delay', () => {
  test('for a time says how long it waited', async () => {
    const end = await engine.run({ steps: { d: { type: 'delay', with: { for: '60ms' } } } });
    const { waitedMs } = stepOf(end, 'd').outputs as { waitedMs: number };
    expect(waitedMs).toBeGreaterThanOrEqual(60);
  });

  test('until an instant that has passed waits no time', async () => {
    const end = await engine.run({
      steps: { d: { type: 'delay', with: { until: '2020-01-01T00:00:00Z' } } },
    });
    expect(end.status).toBe('completed');
  });

  test('is durable: it holds no slot and has its timer in the queue', async () => {
    const id = await engine.start(
      await engine.publish({ steps: { d: { type: 'delay', with: { for: '1h' } } } }),
    );
    await database.until(
      `select status = 'waiting' from workflow_step_executions where workflow_execution_id = $1`,
      [id],
    );
    await assertInvariants(database.url, { allFinal: false });
    await engine.client.cancel(id);
  });
});

describe('a script', () => {
  test('answers what it returns, and fails with what it throws', async () => {
    const end = await engine.run(
      {
        onFailure: 'continue',
        steps: {
          good: {
            type: 'script',
            with: { code: 'return { doubled: input.n * 2 }', input: { n: '${{ input.n }}' } },
          },
          bad: { type: 'script', with: { code: 'throw new RangeError("out")' } },
        },
      },
      { inputs: { n: 21 } },
    );
    expect(stepOf(end, 'good').outputs).toEqual({ doubled: 42 });
    expect(stepOf(end, 'bad').error?.message).toContain('out');
  });
});

describe('data', () => {
  test('is stored once, on its producer', async () => {
    const end = await engine.run({
      steps: { a: record({ much: 'x'.repeat(1000) }), b: record('${{ inputs.a.much.length }}', ['a']) },
    });
    const { rows } = await database.pool.query(
      `select i.input_data, s.received_inputs::text as received from workflow_input_tracker i
         join workflow_step_executions s on s.id = i.step_execution_id where s.workflow_execution_id = $1`,
      [end.execution_id],
    );
    expect(rows).toHaveLength(1);
    expect(rows[0].input_data).toBeNull();
    expect(rows[0].received.length).toBeLessThan(200);
    expect(end.outputs).toEqual({ b: 1000 });
  });

  test('of every JSON kind survives the way through the database unchanged', async () => {
    const value = {
      'ключ "quoted"': [
        "it's",
        '\\',
        '\n\t',
        '{}',
        'null',
        'NULL',
        '',
        '💥',
        1e-7,
        1e21,
        -0.5,
        true,
        null,
        [],
        {},
      ],
    };
    const end = await engine.run(
      { steps: { a: record('${{ input }}'), b: record('${{ steps.a.output }}', ['a']) } },
      { inputs: value },
    );
    expect(end.inputs).toEqual(value);
    expect(end.outputs).toEqual({ b: value });
  });
});

describe('steps as a whole', () => {
  const own = '${{ Object.keys(steps) }}';
  const steps = {
    root: record(own),
    left: record(own, ['root']),
    right: record(own, ['root']),
    guarded: { type: 'noop', needs: ['left'], when: '${{ Object.keys(steps).length === 2 }}' },
    limited: {
      type: 'record',
      needs: ['right'],
      concurrency: { key: '${{ Object.keys(steps).join() }}', limit: 1 },
      with: { value: own },
    },
    cases: {
      type: 'switch',
      needs: [{ step: 'left', on: 'always' }],
      with: {
        cases: [{ route: 'x', when: '${{ steps[input.k] === undefined && steps[input.up] !== undefined }}' }],
      },
    },
    taken: record('${{ [steps[input.k]?.status, steps[input.up].status] }}', ['cases']),
    join: record(own, ['right', 'left']),
  };

  test('has what is upstream of the step that reads it, and nothing besides', async () => {
    const output = { all: own, taken: '${{ steps.taken.output }}', keys: '${{ steps.join.output }}' };
    const end = await engine.run({ steps, output }, { inputs: { k: 'right', up: 'root' } });
    expect(end.status).toBe('completed');
    expect(stepOf(end, 'guarded').status).toBe('completed');
    expect(end.outputs).toEqual({
      all: Object.keys(steps),
      taken: [null, 'completed'],
      keys: ['root', 'left', 'right'],
    });
    expect(stepOf(end, 'root').outputs).toEqual([]);
    expect(stepOf(end, 'left').outputs).toEqual(['root']);
    expect(stepOf(end, 'limited').outputs).toEqual(['root', 'right']);
    expect(stepOf(end, 'cases').outputs).toEqual({ routes: ['x'] });
  });
});

test('an output of nested inputs that has become too large says why', async () => {
  const steps: Record<string, JsonObject> = { in0: { type: 'noop', with: { value: 'x'.repeat(100) } } };
  for (let at = 0; at < 16; at++) {
    for (const side of ['left', 'right']) steps[`${side}${at}`] = { type: 'noop', needs: [`in${at}`] };
    steps[`in${at + 1}`] = { type: 'noop', needs: [`left${at}`, `right${at}`] };
  }
  const end = await engine.run({ steps });
  expect(end).toMatchObject({ status: 'failed', error: { code: 'output_not_storable' } });
  expect(end.error!.message).toContain('nested at every join');
  expect(end.error!.message).toContain('"with: {}"');
});
