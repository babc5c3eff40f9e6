/** Scripts wait for a few sandbox processes: they must not take every slot while they do. */
import { expect, test } from 'bun:test';
import type { TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let engine: TestEngine;

fixtureForAll(async (fixture) => {
  await fixture.database();
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_CONCURRENCY: '4' } });
});

test('a wide execution of endless scripts leaves slots to the executions of others', async () => {
  const endless = { type: 'script', with: { code: 'for (;;);', timeout: '30s' } };
  const steps = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`s${at}`, endless]));
  const wide = await engine.start(await engine.publish({ steps }));
  const quick = await engine.run({ steps: { a: { type: 'noop' }, b: { type: 'noop', needs: ['a'] } } });
  expect(quick.status).toBe('completed');
  await engine.request('POST', `/admin/executions/${wide}/cancel`, {});
  expect((await engine.end(wide)).status).toBe('cancelled');
});

test('scripts of one execution all get their turn', async () => {
  const step = (at: number) => ({ type: 'script', with: { code: `return ${at} + 1` } });
  const steps = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`s${at}`, step(at)]));
  const end = await engine.run({ steps });
  expect(end.outputs).toEqual(Object.fromEntries(Object.keys(steps).map((key, at) => [key, at + 1])));
});
