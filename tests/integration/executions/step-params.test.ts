/**
 * The parameters of a step, as the answer about it shows them: what its attempts got, evaluated again.
 */
import { expect, test } from 'bun:test';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { type EngineCalls, engineCalls, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const SECRET = 'a-secret-of-the-operator';
const EDITOR = 'the-key-of-an-editor';
const WORKSPACE = '0190b6d0-1111-7222-8333-444455556666';
const VIEWER = 'the-key-of-a-viewer';

let engine: TestEngine;
let viewer: EngineCalls;

fixtureForAll(async (own) => {
  await own.database();
  const secrets = join(await own.folder(), 'secrets.json');
  await writeFile(secrets, JSON.stringify({ TOKEN: SECRET }));
  await chmod(secrets, 0o600);
  const config = {
    EXECUTION_ENGINE_PUBLIC_URL: 'https://flows.example/',
    EXECUTION_ENGINE_API_KEYS: `${EDITOR}=${WORKSPACE}:editor,${VIEWER}=${WORKSPACE}:viewer`,
    EXECUTION_ENGINE_SECRETS_FILE: secrets,
    EXECUTION_ENGINE_MAX_OUTPUT_BYTES: '20000',
  };
  engine = await own.engine({ token: EDITOR, config });
  viewer = engineCalls(engine.url, VIEWER);
});

const record = (value: Json, more: JsonObject = {}): JsonObject => ({
  type: 'record',
  with: { value },
  ...more,
});

/** The parameters of a step of an execution. */
async function paramsOf(id: string, key: string, scope = '', calls: EngineCalls = engine): Promise<Json> {
  const status = await engine.client.status(id, scope === '' ? {} : { scope });
  const { body } = await calls.request('GET', `/api/v1/steps/${stepOf(status, key).id}`);
  return body.params as Json;
}

test('of every kind of step are those that its handler got, with secrets masked', async () => {
  const { execution_id: id } = await engine.run(
    {
      steps: {
        a: record('${{ input.n + 1 }}'),
        plain: record({ fixed: true }, { needs: ['a'] }),
        sandboxed: record('${{ [input.n, 2].map((x) => x * 2) }}', { needs: ['a'] }),
        reads: record('${{ [steps.a.output, inputs.a, execution.id] }}', { needs: ['a'] }),
        secret: record('Bearer ${{ secrets.TOKEN }}', { needs: ['a'] }),
        none: { type: 'noop', needs: ['a'] },
        fails: { type: 'fail', needs: ['a'], with: { code: 'odd', message: 'n is ${{ input.n }}' } },
        rescue: record('${{ inputs.fails.code }}', { needs: [{ step: 'fails', on: 'failure' }] }),
        skipped: record('never', { needs: ['a'], when: false }),
      },
    },
    { inputs: { n: 1 } },
  );
  const shown: JsonObject = {};
  for (const key of ['a', 'plain', 'sandboxed', 'reads', 'secret', 'none', 'fails', 'rescue', 'skipped'])
    shown[key] = await paramsOf(id, key);
  expect(shown).toEqual({
    a: { value: 2 },
    plain: { value: { fixed: true } },
    sandboxed: { value: [2, 4] },
    reads: { value: [2, 2, id] },
    secret: { value: 'Bearer ***' },
    none: null,
    fails: { code: 'odd', message: 'n is 1' },
    rescue: { value: 'odd' },
    skipped: null,
  });
});

test('of a step in a scope are those of its item, of the scopes around it, and of its compensation', async () => {
  const inner = record('${{ [item, index, input.n, steps.before.output] }}', {
    compensateWith: { type: 'record', with: { value: '${{ [compensates, item] }}' } },
  });
  const middle = { type: 'foreach', with: { items: '${{ [item] }}', steps: { inner } } };
  const { execution_id: id } = await engine.run(
    {
      steps: {
        before: record('before'),
        each: { type: 'foreach', needs: ['before'], with: { items: ['x', 'y'], steps: { middle } } },
        after: { type: 'fail', needs: ['each'], with: { message: 'undo' } },
      },
    },
    { inputs: { n: 7 } },
  );
  expect(await paramsOf(id, 'inner', 'each[1]/middle[0]')).toEqual({ value: ['y', 0, 7, 'before'] });
  expect(await paramsOf(id, 'middle', 'each[1]')).toMatchObject({ items: ['y'] });
  const scope = await engine.client.status(id, { scope: 'each[0]/middle[0]' });
  const undoing = await engine.client.getStep(stepOf(scope, 'inner').compensation!.id);
  expect(undoing.params).toEqual({ value: [['x', 0, 7, 'before'], 'x'] });
});

test('show no URL of a webhook step to viewers', async () => {
  const { execution_id: id } = await engine.run({
    steps: {
      tell: record('${{ execution.hooks.hook }}'),
      hook: { type: 'webhook', needs: ['tell'], timeout: 50 },
    },
  });
  expect(await paramsOf(id, 'tell')).toEqual({ value: expect.stringContaining('/hooks/') });
  expect(await paramsOf(id, 'tell', '', viewer)).toBeNull();
});

test('that read more than an output may have, or cannot be evaluated, are null', async () => {
  const { execution_id: id } = await engine.run({
    steps: {
      a: record('${{ "a".repeat(15000) }}'),
      b: record('${{ "b".repeat(15000) }}'),
      both: { type: 'script', needs: ['a', 'b'], with: { code: 'return 1', input: '${{ inputs }}' } },
      wrong: record('${{ steps.a.output.nothing.at }}', { needs: ['a'] }),
    },
  });
  expect(await paramsOf(id, 'both')).toBeNull();
  expect(await paramsOf(id, 'wrong')).toBeNull();
});
