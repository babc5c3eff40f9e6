/** Publishing, checking and reading templates: the decisions of the API itself. */
import { expect, test } from 'bun:test';
import { createTestApp, problemOf } from '../../tests/support/api/test-app.ts';

const PATH = '/api/v1/templates';
const DEFINITION = { name: 'a', steps: { one: { type: 'noop' } } };
const YAML = 'name: a\nsteps:\n  one: { type: noop }\n';

test('a new definition is 201 and an equal one 200, in JSON or in any name of YAML', async () => {
  const { send } = createTestApp();
  expect((await send('POST', PATH, DEFINITION)).status).toBe(201);
  for (const type of ['application/yaml', 'application/x-yaml', 'text/yaml', 'text/x-yaml; charset=utf-8']) {
    const response = await send('POST', PATH, YAML, { headers: { 'content-type': type } });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ name: 'a', version: 1 });
  }
});

test('a definition with errors is 422 with a pointer to each', async () => {
  const { send } = createTestApp();
  const response = await send('POST', PATH, { steps: { x: { type: 'nope' } } });
  const { errors } = await problemOf(response, 422, 'invalid_definition');
  expect(errors!.map(({ pointer }) => pointer)).toEqual(['/name', '/steps/x/type']);
});

test('validate answers 200 whatever it finds, and 400 for what cannot be read', async () => {
  const { send } = createTestApp();
  expect(await (await send('POST', `${PATH}/validate`, DEFINITION)).json()).toMatchObject({
    valid: true,
    errors: [],
  });
  const response = await send('POST', `${PATH}/validate`, { steps: {} });
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ valid: false, errors: [{ code: 'missing_field' }] });
  await problemOf(await send('POST', `${PATH}/validate`, '{'), 400, 'malformed_json');
});

test('a template is read by name and version', async () => {
  const { send } = createTestApp();
  await send('POST', PATH, DEFINITION);
  expect(await (await send('GET', `${PATH}/a?version=1`)).json()).toMatchObject({ name: 'a', version: 1 });
  await problemOf(await send('GET', `${PATH}/a?version=2`), 404, 'template_not_found');
  for (const version of ['0', '1.5', 'latest', '99999999999']) {
    await problemOf(await send('GET', `${PATH}/a?version=${version}`), 422, 'validation_failed');
  }
});

test('templates are listed in pages', async () => {
  const { send, ports } = createTestApp();
  expect(await (await send('GET', `${PATH}?limit=10&cursor=abc`)).json()).toEqual({
    data: [],
    next_cursor: null,
  });
  expect(ports.calls[0]!.args).toEqual([{ limit: 10, cursor: 'abc' }]);
  await problemOf(await send('GET', `${PATH}?limit=501`), 422, 'validation_failed');
});

test('a template is archived whole: a version is not taken', async () => {
  const { send } = createTestApp();
  await send('POST', PATH, DEFINITION);
  await problemOf(await send('DELETE', `${PATH}/a?version=1`), 422, 'validation_failed');
  expect((await send('DELETE', `${PATH}/a`)).status).toBe(204);
  await problemOf(await send('DELETE', `${PATH}/a`), 404, 'template_not_found');
});
