import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type EngineDatabase, engineDatabase, startTestEngine, type TestEngine } from '../support/engine.ts';
import { assertInvariants } from '../support/invariants.ts';

let database: EngineDatabase;
let engine: TestEngine;
beforeAll(async () => {
  database = await engineDatabase();
  engine = await startTestEngine({ url: database.url });
}, 60_000);
afterAll(async () => {
  await engine.stop();
  await database.drop();
});

test('a chain', async () => {
  const status = await engine.run({ steps: { a: { type: 'record', with: { value: 1 } }, b: { type: 'record', needs: ['a'], with: { value: 2 } } } });
  expect(status.status).toBe('completed');
  expect(status.outputs).toEqual({ b: 2 });
  console.log(await database.runs());
  await assertInvariants(database.url);
});
