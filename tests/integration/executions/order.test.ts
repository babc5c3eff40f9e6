/**
 * Breadth-first: with one slot, of two ready steps the one with the smaller depth starts first, then priority,
 * then definition order.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import type { JsonObject } from '../../../core/json/json.ts';
import { cases } from '../../support/core/cases.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_CONCURRENCY: '1' } });
});

interface Node {
  readonly needs: readonly number[];
  readonly priority: number;
  readonly any: boolean;
}

/** Steps in an order that need not follow their edges: position in the definition is shuffled. */
const graphs = fc
  .array(
    fc.record({
      needs: fc.uniqueArray(fc.nat(), { maxLength: 4 }),
      priority: fc.integer({ min: -2, max: 2 }),
      any: fc.boolean(),
    }),
    { minLength: 2, maxLength: 25 },
  )
  .map((nodes) =>
    nodes.map(
      ({ needs, ...rest }, at): Node => ({
        ...rest,
        needs: at === 0 ? [] : [...new Set(needs.map((need) => need % at))],
      }),
    ),
  )
  .chain((nodes) => fc.tuple(fc.constant(nodes), shuffled(nodes.length)));

function shuffled(size: number): fc.Arbitrary<number[]> {
  return fc.shuffledSubarray(
    Array.from({ length: size }, (_, at) => at),
    { minLength: size, maxLength: size },
  );
}

function definitionOf(nodes: readonly Node[], order: readonly number[]): JsonObject {
  const steps: JsonObject = {};
  for (const at of order) {
    const { needs, priority, any } = nodes[at]!;
    steps[`s${at}`] = {
      type: 'record',
      priority,
      ...(needs.length === 0 ? {} : { needs: needs.map((need) => `s${need}`), join: any ? 'any' : 'all' }),
    };
  }
  return { steps };
}

/** The order the contract asks for, played out by hand: always the best of what is ready. */
function expectedOrder(nodes: readonly Node[], order: readonly number[]): string[] {
  const depth: number[] = [];
  for (const [at, { needs }] of nodes.entries())
    depth[at] = Math.max(-1, ...needs.map((need) => depth[need]!)) + 1;
  const started: number[] = [];
  const isReady = (at: number) => {
    const { needs, any } = nodes[at]!;
    const done = needs.filter((need) => started.includes(need));
    return needs.length === 0 || (any ? done.length > 0 : done.length === needs.length);
  };
  while (started.length < nodes.length) {
    const [next] = order
      .filter((at) => !started.includes(at) && isReady(at))
      .sort(
        (a, b) =>
          depth[a]! - depth[b]! ||
          nodes[b]!.priority - nodes[a]!.priority ||
          order.indexOf(a) - order.indexOf(b),
      );
    started.push(next!);
  }
  return started.map((at) => `s${at}`);
}

test('with one slot steps start breadth-first, by depth, priority and definition order', async () => {
  await fc.assert(
    fc.asyncProperty(graphs, async ([nodes, order]) => {
      const { execution_id, status } = await engine.run(definitionOf(nodes, order));
      expect(status).toBe('completed');
      const runs = await database.runs(execution_id);
      expect(runs.map(({ step }) => step)).toEqual(expectedOrder(nodes, order));
    }),
    cases(40),
  );
});

test('of two executions with one slot the one with the higher priority goes first', async () => {
  const blocker = await engine.publish({ steps: { hold: { type: 'gate', with: { name: 'priorities' } } } });
  const chain = await engine.publish({
    steps: {
      a: { type: 'record' },
      b: { type: 'record', needs: ['a'] },
      c: { type: 'record', needs: ['b'] },
    },
  });
  const held = await engine.start(blocker);
  await database.until('select true from test_runs where execution_id = $1', [held]);
  const low = await engine.start(chain, { priority: 1 });
  const high = await engine.start(chain, { priority: 5 });
  const middle = await engine.start(chain, { priority: 3 });
  await database.openGate('priorities');
  await Promise.all([low, high, middle, held].map((id) => engine.end(id)));
  const order = (await database.runs()).filter(({ execution_id }) =>
    [low, middle, high].includes(execution_id),
  );
  const firsts = [...new Set(order.map(({ execution_id }) => execution_id))];
  expect(firsts).toEqual([high, middle, low]);
});

test('a step that waits for a gate holds its slot alone and its neighbours wait their turn', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        late: { type: 'record', needs: ['hold'] },
        hold: { type: 'gate', priority: 1, with: { name: 'one-slot' } },
        sibling: { type: 'record' },
      },
    }),
  );
  await database.until(`select true from test_runs where execution_id = $1 and step = 'hold'`, [id]);
  expect((await engine.client.status(id)).progress).toMatchObject({ running: 1, queued: 1, waiting: 1 });
  await assertInvariants(database.url, { allFinal: false });
  await database.openGate('one-slot');
  await engine.end(id);
  expect((await database.runs(id)).map(({ step }) => step)).toEqual(['hold', 'sibling', 'late']);
});
