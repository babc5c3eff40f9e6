/**
 * Secrets and variables that are not there: wherever they are read, the step fails and sends nothing.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let engine: TestEngine;
let called = 0;
const peer = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  fetch() {
    called += 1;
    return new Response('{}');
  },
});

fixtureForAll(async (fixture) => {
  await fixture.use(peer, () => peer.stop(true));
  await fixture.database();
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1' } });
});

const READS = [
  '${{ secrets.NOPE }}',
  'Bearer ${{ secrets[input.name] }}',
  '${{ [secrets.NOPE].map(String)[0] }}',
];
const retry = { limit: 3, delay: 1 };
const PLACES: readonly [string, (read: string) => JsonObject][] = [
  [
    'with',
    (read) => ({ type: 'http', with: { url: peer.url.href, headers: { Authorization: read } }, retry }),
  ],
  ['when', (read) => ({ type: 'noop', when: `\${{ ${read.replace(/^Bearer /, '').slice(3, -2)} }}`, retry })],
  [
    'a case',
    (read) => ({
      type: 'switch',
      with: { cases: [{ route: 'x', when: `\${{ ${read.replace(/^Bearer /, '').slice(3, -2)} }}` }] },
      retry,
    }),
  ],
  ['a concurrency key', (read) => ({ type: 'noop', concurrency: { key: read, limit: 1 }, retry })],
  ['a rateLimit key', (read) => ({ type: 'noop', rateLimit: { key: read, limit: 1, per: '1s' }, retry })],
  ["a script's input", (read) => ({ type: 'script', with: { code: 'return input', input: read }, retry })],
  ['a step type of its own', (read) => ({ type: 'record', with: { value: read }, retry })],
];

test.each(PLACES)(
  'a secret that is not there fails the step that reads it in %s, once',
  async (_place, step) => {
    for (const read of READS) {
      const end = await engine.run({ steps: { a: step(read) } }, { inputs: { name: 'NOPE' } });
      expect(end.status).toBe('failed');
      const { error, attempt_count } = stepOf(end, 'a');
      expect(error).toMatchObject({ code: 'secret_missing' });
      expect(error!.message).toContain('"NOPE"');
      expect(attempt_count).toBeLessThanOrEqual(1);
    }
    expect(called).toBe(0);
  },
);

test('one in the output fails the execution and is named', async () => {
  for (const output of READS) {
    const end = await engine.run({ steps: { a: { type: 'noop' } }, output }, { inputs: { name: 'NOPE' } });
    expect(end).toMatchObject({ status: 'failed', outputs: null, error: { code: 'output_failed' } });
    expect(end.error!.message).toContain('there is no secret "NOPE"');
  }
});

test('a failure edge finds it', async () => {
  const end = await engine.run({
    steps: {
      a: { type: 'record', with: { value: '${{ vars.NOPE }}' } },
      b: { type: 'record', needs: [{ step: 'a', on: 'failure' }], with: { value: '${{ inputs.a.code }}' } },
    },
  });
  expect(end).toMatchObject({ status: 'completed', outputs: { b: 'variable_missing' } });
});

test('publishing warns of it', async () => {
  const name = 'warned';
  const steps = { a: { type: 'noop', with: { a: '${{ secrets.NOPE }}', b: '${{ vars.x }}' } } };
  const { warnings } = await engine.client.publish(JSON.stringify({ name, steps }), 'application/json');
  expect(warnings).toMatchObject([
    { code: 'secret_missing', pointer: '/steps/a/with/a' },
    { code: 'variable_missing', pointer: '/steps/a/with/b' },
  ]);
});
