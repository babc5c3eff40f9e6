/**
 * `loop`: steps again and again, as scopes of the step.
 */
import { describe, expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { httpPeer } from '../../support/http-peer.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1' } });
});

const loop = (params: JsonObject, more: JsonObject = {}): JsonObject => ({
  steps: { again: { type: 'loop', with: params, ...more } },
});
const SUM = {
  steps: { add: { type: 'transform', with: { value: '${{ (previous ?? 0) + iteration + 1 }}' } } },
  output: '${{ steps.add.output }}',
};
const iterations = async (id: string) => {
  const { rows } = await database.pool.query(
    'select index, status, run from workflow_scopes where workflow_execution_id = $1 order by index',
    [id],
  );
  return rows;
};

describe('a loop', () => {
  test('runs while its condition holds, each iteration after the one before, whose result it sees', async () => {
    const end = await engine.run(loop({ ...SUM, while: '${{ iteration < 4 }}' }));
    expect(end).toMatchObject({ status: 'completed', outputs: { again: 1 + 2 + 3 + 4 } });
    expect((await iterations(end.execution_id)).map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  });

  test('whose condition does not hold runs nothing and has the output null', async () => {
    const end = await engine.run(loop({ ...SUM, while: '${{ previous != null }}' }));
    expect(end).toMatchObject({ status: 'completed', outputs: { again: null } });
    expect(await iterations(end.execution_id)).toEqual([]);
  });

  test('runs until its condition holds, at least once', async () => {
    const once = await engine.run(loop({ ...SUM, until: true }));
    expect(once.outputs).toEqual({ again: 1 });
    const end = await engine.run(loop({ ...SUM, until: '${{ previous >= 6 && iteration == 2 }}' }));
    expect(end.outputs).toEqual({ again: 6 });
  });

  test('reads the input and the steps before it in its condition, and pauses between iterations', async () => {
    const end = await engine.run(
      {
        steps: {
          limit: { type: 'transform', with: { value: 3 } },
          again: {
            type: 'loop',
            needs: ['limit'],
            with: {
              ...SUM,
              while: '${{ iteration < steps.limit.output + input.more }}',
              interval: '20ms',
            },
          },
        },
      },
      { inputs: { more: 1 } },
    );
    expect(end.outputs).toEqual({ again: 10 });
    const { rows } = await database.pool.query(
      `select min(gap) as gap from (
         select created_at - lag(completed_at) over (order by index) as gap
           from workflow_scopes where workflow_execution_id = $1) gaps
        where gap is not null having min(gap) >= interval '20 milliseconds'`,
      [end.execution_id],
    );
    expect(rows).toHaveLength(1);
  });

  test('fails when it would go on after maxIterations, and only then', async () => {
    const fine = await engine.run(loop({ ...SUM, while: '${{ iteration < 3 }}', maxIterations: 3 }));
    expect(fine).toMatchObject({ status: 'completed', outputs: { again: 6 } });
    const end = await engine.run(loop({ ...SUM, while: '${{ iteration < 4 }}', maxIterations: 3 }));
    expect(end).toMatchObject({ status: 'failed', error: { code: 'max_iterations', step: 'again' } });
    expect(stepOf(end, 'again')).toMatchObject({ scopes: { total: 3, completed: 3 } });
  });

  test('that is tried again goes on with the iteration that failed', async () => {
    await using peer = await httpPeer((_, response) => {
      response.writeHead(peer.requests.length === 3 ? 500 : 200).end();
    });
    const steps = { call: { type: 'http', with: { url: peer.origin }, retry: { limit: 0 } } };
    const params = { steps, while: '${{ iteration < 4 }}', output: '${{ [previous, iteration] }}' };
    const end = await engine.run(loop(params, { retry: { limit: 1, delay: 1 } }));
    expect(end).toMatchObject({ status: 'completed', outputs: { again: [[[[null, 0], 1], 2], 3] } });
    expect(await iterations(end.execution_id)).toEqual([
      { index: 0, status: 'completed', run: 1 },
      { index: 1, status: 'completed', run: 1 },
      { index: 2, status: 'completed', run: 2 },
      { index: 3, status: 'completed', run: 2 },
    ]);
  });

  test('whose condition cannot be evaluated fails', async () => {
    const end = await engine.run(loop({ ...SUM, while: '${{ previous.deep }}' }));
    expect(end).toMatchObject({ status: 'failed', error: { code: 'expression_failed', step: 'again' } });
  });

  test('inside a foreach knows the names of both', async () => {
    const inner = {
      type: 'loop',
      with: {
        steps: { one: { type: 'transform', with: { value: '${{ [item, index, iteration] }}' } } },
        until: '${{ iteration == item }}',
        output: '${{ steps.one.output }}',
      },
    };
    const end = await engine.run({
      steps: {
        each: {
          type: 'foreach',
          with: { items: [2, 0], steps: { inner }, output: '${{ steps.inner.output }}' },
        },
      },
    });
    expect(end.outputs).toEqual({
      each: [
        [2, 0, 2],
        [0, 1, 0],
      ],
    });
  });
});
