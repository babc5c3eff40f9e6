/**
 * Child executions on several engines: races of ends from above and below, and engines that are killed.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import type { EngineDatabase, EngineProcess } from '../../support/engine.ts';
import { type Fixture, fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let one: EngineProcess;
let two: EngineProcess;

const fixture: Fixture = fixtureForAll(async (own) => {
  database = await own.database();
  [one, two] = await Promise.all([own.engineProcess({ name: 'one' }), own.engineProcess({ name: 'two' })]);
});

const calls = (name: string, step: JsonObject = {}): JsonObject => ({
  steps: { call: { type: 'workflow', with: { name, inputs: '${{ input }}' }, ...step } },
});

const FINAL = `('completed', 'failed', 'cancelled', 'timed_out')`;

/** Waits until all executions of the trees are final; answers how many children each attempt had. */
async function treesEnd(roots: readonly string[]): Promise<number[]> {
  await database.until(
    `select count(*) = 0 from workflow_executions
      where (id = any($1::uuid[]) or root_execution_id = any($1::uuid[])) and status not in ${FINAL}`,
    [roots],
  );
  const { rows } = await database.pool.query(
    `select count(*)::integer as count from workflow_executions where root_execution_id = any($1::uuid[])
      group by parent_step_id, parent_attempt`,
    [roots],
  );
  return rows.map(({ count }) => count);
}

test('a cancel that meets the end of the child, through two engines, leaves nothing open', async () => {
  const child = await one.publish({ steps: { gate: { type: 'gate', with: { name: '${{ input.gate }}' } } } });
  const parent = await two.publish(calls(await one.publish(calls(child))));
  const roots = await Promise.all(
    Array.from({ length: 12 }, async (_, at) => {
      const gate = `meets-${at}`;
      const id = await (at % 2 === 0 ? one : two).start(parent, { inputs: { gate } });
      await database.until(
        `select exists (select 1 from test_runs r join workflow_executions e on e.id = r.execution_id
                         where e.root_execution_id = $1)`,
        [id],
      );
      const cancelling = (at % 2 === 0 ? two : one).client.cancel(id);
      await Promise.all([cancelling, database.openGate(gate)]);
      return id;
    }),
  );
  expect(new Set(await treesEnd(roots))).toEqual(new Set([1]));
  // What came too late for a child is dropped by its ticket.
  await database.until('select count(*) = 0 from workflow_inbox');
});

test('a stop that meets the end of the child, through two engines, undoes the parent after it', async () => {
  const child = await one.publish({ steps: { gate: { type: 'gate', with: { name: '${{ input.gate }}' } } } });
  const undone = { type: 'noop', compensateWith: { type: 'noop' } };
  const { call } = calls(child).steps as { call: JsonObject };
  const parent = await two.publish({
    steps: {
      undone,
      call: { ...call, needs: ['undone'] },
      last: { type: 'delay', needs: ['call'], with: { for: '1h' } },
    },
  });
  const roots = await Promise.all(
    Array.from({ length: 12 }, async (_, at) => {
      const gate = `stops-${at}`;
      const id = await (at % 2 === 0 ? one : two).start(parent, { inputs: { gate } });
      await database.until(
        `select exists (select 1 from test_runs r join workflow_executions e on e.id = r.execution_id
                         where e.root_execution_id = $1)`,
        [id],
      );
      const stopping = (at % 2 === 0 ? two : one).client.stop(id);
      await Promise.all([stopping, database.openGate(gate)]);
      return id;
    }),
  );
  expect(new Set(await treesEnd(roots))).toEqual(new Set([1]));
  const { rows } = await database.pool.query(
    `select distinct e.status, u.status as undone, u.created_at >= c.completed_at as last
       from workflow_executions e
       join workflow_executions c on c.parent_execution_id = e.id
       join workflow_step_executions u on u.workflow_execution_id = e.id
       join workflow_step_templates t on t.id = u.step_template_id and t.key like '%~compensation'
      where e.id = any($1::uuid[])`,
    [roots],
  );
  expect(rows).toEqual([{ status: 'cancelled', undone: 'completed', last: true }]);
});

test('of engines that are killed again and again: each attempt has one child, and every tree ends', async () => {
  const child = await one.publish({
    steps: {
      first: { type: 'transform', with: { value: '${{ input.n }}' } },
      rest: { type: 'delay', needs: ['first'], with: { for: 50 } },
    },
    output: '${{ steps.first.output }}',
  });
  const steps = { call: { type: 'workflow', with: { name: child, inputs: { n: '${{ item }}' } } } };
  const parent = await one.publish({
    steps: { each: { type: 'foreach', with: { items: 6, steps, output: '${{ steps.call.output }}' } } },
    output: '${{ steps.each.output }}',
  });
  let doomed = await fixture.engineProcess({ name: 'doomed' });
  const roots: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    const starts = Array.from({ length: 4 }, () => doomed.start(parent));
    roots.push(...(await Promise.all(starts)));
    doomed.kill('SIGKILL');
    await doomed.exited;
    doomed = await fixture.engineProcess({ name: 'doomed' });
  }
  expect(new Set(await treesEnd(roots))).toEqual(new Set([1]));
  for (const id of roots)
    expect(await one.end(id)).toMatchObject({ status: 'completed', outputs: [0, 1, 2, 3, 4, 5] });
});
