/**
 * Ends from above and failures against the completion of what is below, on two engines, at depths of one to three, at many
 * moments: afterwards nothing below is open, nothing starts, no final state has changed, and the numbers are those of the rows.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { forbidden, leftoversOf, watchEnds } from '../../support/faults/scope-ends.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engines: readonly [TestEngine, TestEngine];

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  await watchEnds(database.pool);
  const config = { EXECUTION_ENGINE_CONCURRENCY: '6' };
  engines = [await fixture.engine({ name: 'one', config }), await fixture.engine({ name: 'two', config })];
});

const WORK: JsonObject = {
  one: { type: 'flaky', with: { failures: 0 } },
  two: { type: 'interval', needs: ['one'], with: { ms: 3 } },
  three: { type: 'record', needs: ['two'] },
};
/** The last item of the innermost foreach fails. */
const FAILING: JsonObject = {
  ...WORK,
  three: { type: 'fail', needs: ['two'], when: '${{ index == 2 }}', with: { message: 'on purpose' } },
};
/** Every item goes on until something ends it. */
const ENDLESS: JsonObject = { ...WORK, three: { type: 'gate', needs: ['two'], with: { name: 'never' } } };

function nested(depth: number, steps: JsonObject): JsonObject {
  const inner = depth === 1 ? steps : { each: nested(depth - 1, steps) };
  return { type: 'foreach', with: { items: 3, concurrency: 2, steps: inner } };
}

const around = (each: JsonObject, more: JsonObject = {}): JsonObject => ({
  ...more,
  steps: { each, after: { type: 'record', needs: [{ step: 'each', on: 'failure' }] } },
});

/** The doors through which an end comes, with how the execution may end. */
const ENDS: [
  name: string,
  definition: (depth: number, ms: number) => JsonObject,
  end: ((engine: TestEngine, id: string) => Promise<unknown>) | null,
  statuses: readonly string[],
][] = [
  [
    'a cancel',
    (depth) => around(nested(depth, WORK)),
    ({ client }, id) => client.cancel(id),
    ['cancelled', 'completed'],
  ],
  [
    'a stop',
    (depth) => around(nested(depth, WORK)),
    ({ client }, id) => client.stop(id),
    ['cancelled', 'completed'],
  ],
  ['a failure', (depth) => ({ steps: { each: nested(depth, FAILING) } }), null, ['failed']],
  ['a failure that is handled', (depth) => around(nested(depth, FAILING)), null, ['completed']],
  [
    'a timeout of the step',
    (depth, ms) => around({ ...nested(depth, ENDLESS), timeout: ms }),
    null,
    ['completed'],
  ],
  [
    'a timeout of the execution',
    (depth, ms) => around(nested(depth, ENDLESS), { timeout: ms }),
    null,
    ['timed_out'],
  ],
];
/** How many steps have ended, or how many milliseconds have passed, when the end comes. */
const MOMENTS = [1, 3, 6, 10, 16];

const CASES = [1, 2, 3].flatMap((depth) => ENDS.map((end) => [end[0], depth, ...end.slice(1)] as const));

test.each(CASES as [string, number, ...never[]][])(
  '%s at depth %p leaves nothing open',
  async (name, depth) => {
    const [, definition, end, statuses] = ENDS.find((each) => each[0] === name)!;
    await Promise.all(
      MOMENTS.map(async (moment, at) => {
        const [here, there] = at % 2 === 0 ? engines : engines.toReversed();
        const id = await here!.start(await here!.publish(definition(depth, moment * 15)));
        if (end !== null) {
          await reaches(id, moment);
          await end(there!, id);
        }
        expect(statuses).toContain((await here!.end(id)).status);
        expect(await leftoversOf(database.pool, [id])).toEqual({ scopes: 0, steps: 0, numbers: [] });
      }),
    );
    expect(await forbidden(database.pool)).toEqual([]);
  },
);

async function reaches(id: string, ended: number): Promise<void> {
  await database.until(
    `select count(*) >= $2 or (select completed_at is not null from workflow_executions where id = $1)
       from workflow_step_executions where workflow_execution_id = $1 and completed_at is not null`,
    [id, ended],
  );
}
