/** The rules for a body, in every call that takes one. */
import { describe, expect, test } from 'bun:test';
import { createTestApp, problemOf } from '../tests/support/api/test-app.ts';

const START = '/api/v1/execution/start';
const TEMPLATES = '/api/v1/templates';

/** Paths of all calls that take a JSON body. */
async function callsWithBody(): Promise<string[]> {
  const { send } = createTestApp();
  const { paths } = (await (await send('GET', '/openapi.json')).json()) as {
    paths: Record<string, { post?: { requestBody?: { content: object } } }>;
  };
  const found = Object.keys(paths).filter(
    (path) => 'application/json' in (paths[path]?.post?.requestBody?.content ?? {}),
  );
  expect(found).toContain(START);
  expect(found).toContain(TEMPLATES);
  return found.map((path) => path.replace(/\{\w+\}/g, '11111111-1111-1111-1111-111111111111'));
}

describe('a name that is there twice', () => {
  test('is refused by every call, at every depth, and nothing is done', async () => {
    const { send, ports } = createTestApp();
    for (const call of await callsWithBody()) {
      for (const body of [
        '{"x":1,"x":1}',
        '{"x":[{"y":{"z":1,\n"\\u007a":2}}]}',
        `${'{"x":'.repeat(50)}{"y":[],"y":[]}${'}'.repeat(50)}`,
      ]) {
        const { detail } = await problemOf(await send('POST', call, body), 400, 'malformed_json');
        expect(detail).toMatch(/line \d+, column \d+, the key "\w" is there twice/);
      }
    }
    expect(ports.calls).toEqual([]);
  });

  test('is refused in YAML too', async () => {
    const { send } = createTestApp();
    const headers = { 'content-type': 'application/yaml' };
    for (const body of ['a: 1\n"a": 2', 'a: [{ b: { c: 1, c: 1 } }]']) {
      const { detail } = await problemOf(
        await send('POST', TEMPLATES, body, { headers }),
        400,
        'malformed_yaml',
      );
      expect(detail).toContain('is there twice');
    }
  });
});

describe('a number that is not exact', () => {
  test('is refused by every call, with its place, and nothing is done', async () => {
    const { send, ports } = createTestApp();
    for (const call of await callsWithBody()) {
      const body = '{"inputs":{"id":9007199254740993,"list":[1,2.5,1e400]}}';
      const { errors } = await problemOf(await send('POST', call, body), 422, 'number_not_exact');
      expect(errors).toMatchObject([
        { pointer: '/inputs/id', code: 'number_not_exact' },
        { pointer: '/inputs/list/2', code: 'number_not_exact' },
      ]);
    }
    expect(ports.calls).toEqual([]);
  });

  test('is refused in YAML too', async () => {
    const { send } = createTestApp();
    const headers = { 'content-type': 'application/yaml' };
    const body = 'name: a\nsteps: { a: { type: noop, with: { id: 9007199254740993 } } }';
    const { errors } = await problemOf(
      await send('POST', `${TEMPLATES}/validate`, body, { headers }),
      422,
      'number_not_exact',
    );
    expect(errors).toMatchObject([{ pointer: '/steps/a/with/id' }]);
  });
});
