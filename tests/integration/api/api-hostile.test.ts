/**
 * Hostile payloads at a real engine: each is refused in clear words and changes no row, or is legal, stored, and
 * comes back as it was. The engine serves on all the while.
 */
import { afterEach, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import { checksums, refusal } from '../../support/database/untouched.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

const START = '/api/v1/execution/start';
const START_MANY = '/api/v1/execution/start-many';
const TEMPLATES = '/api/v1/templates';
const MIB = 1_048_576;
const ON_EVERY_OBJECT = Reflect.ownKeys(Object.prototype);

let database: EngineDatabase;
let engine: TestEngine;
/** Gives its inputs back. */
let echo: string;

fixtureForAll(
  async (fixture) => {
    database = await fixture.database();
    engine = await fixture.engine();
    echo = await engine.publish({ steps: { echo: { type: 'transform', with: { value: '${{ input }}' } } } });
  },
  {
    atEnd: async () => {
      const steps = { a: { type: 'noop' }, b: { type: 'merge', needs: ['a'] } };
      expect((await engine.run({ steps })).status).toBe('completed');
    },
  },
);

afterEach(async () => {
  // The engine runs in this process: what it pollutes is seen here.
  expect(Reflect.ownKeys(Object.prototype)).toEqual(ON_EVERY_OBJECT);
  await until(async () => (await fetch(`${engine.url}/health/ready`)).status === 200);
});

function post(
  path: string,
  body: NonNullable<RequestInit['body']>,
  type = 'application/json',
): Promise<Response> {
  return fetch(engine.url + path, { method: 'POST', body, headers: { 'content-type': type } });
}

const yaml = (path: string, text: string) => post(path, text, 'application/yaml');
const startWith = (inputs: string) => post(START, `{"template":"${echo}","inputs":${inputs}}`);
const refuse = (expected: readonly [number, string], request: () => Promise<Response>) =>
  refusal(database.pool, request, expected);

/** The text of the final status of an execution that a response started. */
/** The status of a final execution, as JavaScript reads it and writes it again. */
async function finalText(response: Response): Promise<string> {
  const { execution_id } = (await response.json()) as { execution_id: string };
  const query = `execution_id=${execution_id}&wait=30s&include=outputs`;
  const status = await fetch(`${engine.url}/api/v1/execution/status?${query}`);
  return JSON.stringify(await status.json());
}

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

describe('inputs', () => {
  const unstorable: [what: string, inputs: string, pointer: string][] = [
    ['NUL', '{"a":["b\\u0000"]}', '/inputs/a/0'],
    ['NUL in a key', '{"a":{"\\u0000":1}}', '/inputs/a'],
    ['a lone high surrogate', '"\\ud800"', '/inputs'],
    ['a lone low surrogate', '["\\udc00x"]', '/inputs/0'],
    ['surrogates in the wrong order', '"\\udc00\\ud800"', '/inputs'],
    ['a surrogate in a key', '{"\\ud83d":1}', '/inputs'],
  ];
  test.each(unstorable)('with %s are refused', async (_what, inputs, pointer) => {
    const single = await refuse([422, 'not_storable'], () => startWith(inputs));
    expect(single.errors).toMatchObject([{ pointer, code: 'not_storable' }]);
    const items = `{"items":[{"template":"${echo}"},{"template":"${echo}","inputs":${inputs}}]}`;
    await refuse([422, 'not_storable'], () => post(START_MANY, items));
  });

  const inexact: [what: string, inputs: string, pointer: string][] = [
    ['a number beyond all doubles', '{"n":1e400}', '/inputs/n'],
    ['a number below all doubles', '[-1e400]', '/inputs/0'],
    ['an integer between two doubles', '{"a":[0,9007199254740993]}', '/inputs/a/1'],
    ['an integer with a point', '12345678901234567890.0', '/inputs'],
  ];
  test.each(inexact)('with %s are refused', async (_what, inputs, pointer) => {
    const single = await refuse([422, 'number_not_exact'], () => startWith(inputs));
    expect(single.errors).toMatchObject([{ pointer, code: 'number_not_exact' }]);
    const items = `{"items":[{"template":"${echo}"},{"template":"${echo}","inputs":${inputs}}]}`;
    const many = await refuse([422, 'number_not_exact'], () => post(START_MANY, items));
    expect(many.errors).toMatchObject([{ pointer: `/items/1${pointer}` }]);
  });

  test('with a name twice are refused', async () => {
    await refuse([400, 'malformed_json'], () => startWith('{"a":1,"a":2}'));
    await refuse([400, 'malformed_json'], () => startWith('[{"a":{"b":1,"b":1}}]'));
  });

  test('nested 512 levels and more, request and all, are refused', async () => {
    for (const depth of [512, 10_000, 200_000]) {
      const { errors } = await refuse([422, 'not_storable'], () => startWith(nested(depth)));
      expect(errors).toMatchObject([{ code: 'too_deep' }]);
    }
    await refuse([422, 'not_storable'], () => startWith('{"a":'.repeat(10_000) + 1 + '}'.repeat(10_000)));
  });

  const kept: [what: string, inputs: string][] = [
    ['__proto__', '{"__proto__":{"x":1}}'],
    ['__proto__ in an array', '[{"__proto__":{"x":1}},{"__proto__":null}]'],
    ['constructor and prototype', '{"constructor":{"prototype":{"x":1}}}'],
    ['names of what objects have', '{"then":1,"toJSON":1,"valueOf":0,"toString":"z","hasOwnProperty":1}'],
    ['an empty key', '{"":{"":1}}'],
    ['$ref and $data', '{"$ref":"#","$data":"1/x"}'],
    ['what looks like an expression', '"${{ secrets.KEY }}"'],
    ['what looks like SQL', '"\'); drop table workflow_executions; --"'],
    ['control characters, noncharacters and separators', '"\\u0001\\u001f\\u007f\\uffff\\u2028\\ufeff"'],
    ['an astral character as a pair of escapes', '"\\ud83d\\ude00"'],
    ['the largest and the smallest double', '[1.7976931348623157e308,5e-324]'],
    ['a scalar', 'false'],
    ['an empty array', '[]'],
    ['500 levels', nested(500)],
  ];
  test.each(kept)('with %s come back as they were, through an expression as well', async (_what, inputs) => {
    const value = JSON.stringify(JSON.parse(inputs));
    const text = await finalText(await startWith(inputs));
    expect(text).toContain(`"inputs":${value},"outputs":{"echo":${value}}`);
    expect(text).toContain('"status":"completed"');
  });

  test('are numbers as JavaScript has them, and absent when they are null', async () => {
    const read: [string, string][] = [
      ['-0', '0'],
      ['1E2', '100'],
      ['1152921504606847000', '1152921504606847000'],
      ['null', '{}'],
    ];
    for (const [sent, value] of read)
      expect(await finalText(await startWith(sent))).toContain(
        `"inputs":${value},"outputs":{"echo":${value}}`,
      );
  });

  test('are held against a schema by the keys they have, not by those that every object has', async () => {
    const template = await engine.publish({
      input: {
        type: 'object',
        required: ['constructor'],
        properties: { constructor: { type: 'integer' } },
        additionalProperties: false,
      },
      steps: { a: { type: 'noop' } },
    });
    const start = (inputs: string) => post(START, `{"template":"${template}","inputs":${inputs}}`);
    for (const inputs of ['{}', '{"__proto__":{"constructor":1}}', '{"constructor":1,"__proto__":{}}'])
      await refuse([422, 'invalid_inputs'], () => start(inputs));
    expect(await finalText(await start('{"constructor":1}'))).toContain('"status":"completed"');
  });
});

describe('a request', () => {
  test('with a key that reaches for the prototype is refused like any unknown field', async () => {
    for (const key of ['__proto__', 'constructor', 'prototype', 'toString'])
      for (const body of [
        `{"template":"${echo}","${key}":{"workspace_id":"x"}}`,
        `{"${key}":{"template":"${echo}"}}`,
      ])
        expect((await refuse([422, 'validation_failed'], () => post(START, body))).errors).toContainEqual(
          expect.objectContaining({ pointer: `/${key}`, code: 'unknown_field' }),
        );
  });

  test('may begin with one byte order mark, not with two', async () => {
    const body = `{"template":"${echo}","inputs":1}`;
    expect(await finalText(await post(START, `\ufeff${body}`))).toContain('"inputs":1');
    await refuse([400, 'malformed_json'], () => post(START, `\ufeff\ufeff${body}`));
    await refuse([400, 'malformed_json'], () => post(START, Buffer.from(`\ufeff${body}`, 'utf16le')));
  });

  test('that never ends is cut off at the limit', async () => {
    const chunk = new Uint8Array(MIB).fill(0x20);
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1;
        controller.enqueue(chunk);
      },
    });
    // The engine answers and closes; whether the answer is read before the close is up to the client.
    const before = await checksums(database.pool);
    const status = await post(START, endless).then(
      (response) => response.status,
      () => 413,
    );
    expect(status).toBe(413);
    expect(sent).toBeLessThan(200);
    expect(await checksums(database.pool)).toEqual(before);
  });

  test('that is cut short changes nothing', async () => {
    const body = `{"template":"${echo}"}`;
    const before = await checksums(database.pool);
    const { hostname, port } = new URL(engine.url);
    await new Promise<void>((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => {
        socket.write(
          `POST ${START} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: application/json\r\n` +
            `Content-Length: ${body.length + 1}\r\n\r\n${body}`,
        );
        socket.end();
      });
      socket
        .on('error', reject)
        .on('close', () => resolve())
        .resume();
    });
    expect((await post(START, '{')).status).toBe(400);
    expect(await checksums(database.pool)).toEqual(before);
  });

  test('to start 5,000 at once is refused as a whole', async () => {
    const items = Array.from({ length: 5_000 }, () => ({ template: echo }));
    const { errors } = await refuse([422, 'validation_failed'], () =>
      post(START_MANY, JSON.stringify({ items })),
    );
    expect(errors).toMatchObject([{ pointer: '/items', code: 'too_big' }]);
  });

  test('with thousands of faults gets an answer of bounded size', async () => {
    const body = JSON.stringify({ items: Array.from({ length: 900 }, () => ({ a: 1, b: 2, c: 3 })) });
    const { errors } = await refuse([422, 'validation_failed'], () => post(START_MANY, body));
    expect(errors!.length).toBeLessThanOrEqual(100);
    const keys = Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`unknown${at}`, at]));
    const response = await refuse([422, 'validation_failed'], () => post(START, JSON.stringify(keys)));
    expect(response.errors!.length).toBeLessThanOrEqual(100);
  });
});

describe('a definition', () => {
  const step = '{ type: noop }';

  const refusedYaml: [what: string, text: string, status: number, code: string][] = [
    ['an alias bomb', aliasBomb(9), 400, 'malformed_yaml'],
    [
      'an alias bomb that is a definition',
      `name: bomb\nsteps: { a: ${step} }\n${aliasBomb(9)}`,
      400,
      'malformed_yaml',
    ],
    ['an alias to itself', `name: loop\nsteps: &s\n  a: { type: noop, with: *s }\n`, 422, 'not_storable'],
    ['tabs for indentation', `name: tabs\nsteps:\n\ta: ${step}\n`, 400, 'malformed_yaml'],
    ['a tag of JavaScript', 'name: t\nsteps: { a: { type: !!js/function "f" } }', 400, 'malformed_yaml'],
    ['a tag of Python', 'name: !!python/object/apply:os.system [ls]\nsteps: {}', 400, 'malformed_yaml'],
    ['a tag of its own', `name: t\nsteps: { a: !mine ${step} }`, 400, 'malformed_yaml'],
    ['binary', 'name: t\nsteps: { a: { type: noop, with: !!binary aGk= } }', 400, 'malformed_yaml'],
    [
      'keys that are no text',
      'name: t\nsteps: { a: { type: noop, with: { ? [a] : b } } }',
      400,
      'malformed_yaml',
    ],
    ['two documents', `name: t\nsteps: { a: ${step} }\n---\nname: u\n`, 400, 'malformed_yaml'],
    ['a key twice', `name: t\nname: u\nsteps: { a: ${step} }`, 400, 'malformed_yaml'],
    ['10,000 levels of brackets', '['.repeat(10_000), 400, 'malformed_yaml'],
    ['10,000 levels of dashes', `${'- '.repeat(10_000)}x`, 400, 'malformed_yaml'],
    ['not a number', 'name: t\nsteps: { a: { type: noop, with: { x: .nan } } }', 422, 'not_storable'],
    ['infinity', 'name: t\nsteps: { a: { type: noop, with: [-.inf] } }', 422, 'not_storable'],
    ['NUL', 'name: t\nsteps: { a: { type: noop, with: "\\0" } }', 422, 'not_storable'],
    ['a lone surrogate', 'name: t\nsteps: { a: { type: noop, with: "\\ud800" } }', 422, 'not_storable'],
    ['a foreign prototype', `name: t\n__proto__: { x: 1 }\nsteps: { a: ${step} }`, 422, 'invalid_definition'],
    ['steps in the prototype', `name: t\n__proto__: { steps: { a: ${step} } }`, 422, 'invalid_definition'],
    ['a step named __proto__', `name: t\nsteps: { __proto__: ${step} }`, 422, 'invalid_definition'],
    ['a list', '- name: t', 422, 'invalid_definition'],
    ['text', 'just text', 422, 'invalid_definition'],
  ];
  test.each(refusedYaml)('in YAML with %s is refused', async (_what, text, status, code) => {
    await refuse([status, code], () => yaml(TEMPLATES, text));
  });

  const refusedJson: [what: string, text: string, status: number, code: string][] = [
    ['a key twice', `{"name":"t","name":"u","steps":{"a":{"type":"noop"}}}`, 400, 'malformed_json'],
    ['a step twice', `{"name":"t","steps":{"a":{"type":"noop"},"a":{"type":"log"}}}`, 400, 'malformed_json'],
    ['10,000 levels', `{"name":"t","steps":${nested(10_000)}}`, 422, 'not_storable'],
    ['NUL', `{"name":"t\\u0000","steps":{"a":{"type":"noop"}}}`, 422, 'not_storable'],
    ['1e400', `{"name":"t","steps":{"a":{"type":"noop","priority":1e400}}}`, 422, 'number_not_exact'],
    ['comments', `{"name":"t",/* */"steps":{"a":{"type":"noop"}}}`, 400, 'malformed_json'],
    [
      'a step named __proto__',
      `{"name":"t","steps":{"__proto__":{"type":"noop"}}}`,
      422,
      'invalid_definition',
    ],
    [
      'a type that all objects have',
      `{"name":"t","steps":{"a":{"type":"constructor"}}}`,
      422,
      'invalid_definition',
    ],
    [
      'a need that all objects have',
      `{"name":"t","steps":{"a":{"type":"noop","needs":["toString"]}}}`,
      422,
      'invalid_definition',
    ],
  ];
  test.each(refusedJson)('in JSON with %s is refused', async (_what, text, status, code) => {
    await refuse([status, code], () => post(TEMPLATES, text));
  });

  test('whose steps have names of what objects have runs like any other', async () => {
    const text =
      '{"name":"names","steps":{"constructor":{"type":"transform","with":{"value":{"__proto__":{"x":1}}}},' +
      '"toString":{"type":"noop","needs":["constructor"]},' +
      '"valueOf":{"type":"transform","needs":["toString"],"with":{"value":"${{ steps.constructor.output }}"}}}}';
    expect((await post(TEMPLATES, text)).status).toBe(201);
    const end = await finalText(await post(START, '{"template":"names"}'));
    expect(end).toContain('"outputs":{"valueOf":{"__proto__":{"x":1}}}');
  });

  test('in YAML may share parts, and dates and yes are text', async () => {
    const text =
      'name: shared\nsteps:\n  a: &a { type: transform, with: { value: [2020-01-01, yes, 0o17] } }\n  b: *a\n';
    expect((await yaml(TEMPLATES, `\ufeff${text}`)).status).toBe(201);
    const { outputs } = await engine.end(await engine.start('shared'));
    expect(outputs).toEqual({ a: ['2020-01-01', 'yes', 15], b: ['2020-01-01', 'yes', 15] });
  });
});

/** A few hundred bytes that stand for 9^levels items. */
function aliasBomb(levels: number): string {
  const list = (item: string) => `[${Array(9).fill(item).join(', ')}]`;
  return Array.from(
    { length: levels },
    (_, at) => `l${at}: &l${at} ${list(at === 0 ? 'x' : `*l${at - 1}`)}\n`,
  ).join('');
}

describe('an address', () => {
  test.each([
    ['/admin/executions?q=%00', 422, 'not_storable'],
    [`${TEMPLATES}/%00`, 422, 'not_storable'],
    [`${TEMPLATES}/..%2f..%2fetc`, 422, 'validation_failed'],
    [`${TEMPLATES}/%ff%fe`, 422, 'validation_failed'],
    [`${TEMPLATES}/__proto__`, 422, 'validation_failed'],
    [`${TEMPLATES}/constructor`, 404, 'template_not_found'],
    ['/admin/executions?__proto__=1', 422, 'validation_failed'],
    ['/admin/executions?constructor=1', 422, 'validation_failed'],
    [`/${'x'.repeat(8_000)}`, 404, 'not_found'],
    ['/api/v1/execution/status/../../../admin', 404, 'not_found'],
  ] as [string, number, string][])('that is hostile is refused: %s', async (path, status, code) => {
    await refuse([status, code], () => fetch(engine.url + path));
  });
});

// Last: every checksum after these reads what they store.
describe('what is large', () => {
  test('as a request of 10 MB is stored and comes back whole, one of 11 MB is refused', async () => {
    const text = `"${'\u00e9x'.repeat(3_333_300)}"`;
    const constant = await engine.publish({ steps: { a: { type: 'transform', with: { value: 1 } } } });
    const status = await finalText(await post(START, `{"template":"${constant}","inputs":${text}}`));
    const { inputs, outputs } = JSON.parse(status);
    expect(inputs === JSON.parse(text)).toBe(true);
    expect(outputs).toEqual({ a: 1 });
    const large = `"${'x'.repeat(11_000_000)}"`;
    const { detail } = await refuse([413, 'body_too_large'], () => startWith(large));
    expect(detail).toContain(String(10 * MIB));
  });

  test('as a definition of more than 1 MB is refused, one just below it is kept to the byte', async () => {
    const of = (name: string, bytes: number) => {
      const text = JSON.stringify({ name, description: '', steps: { a: { type: 'noop' } } });
      return text.replace('""', `"${'d'.repeat(bytes - text.length)}"`);
    };
    for (const path of [TEMPLATES, `${TEMPLATES}/validate`]) {
      await refuse([413, 'body_too_large'], () => post(path, of('too-large', MIB + 1)));
      await refuse([413, 'body_too_large'], () => yaml(path, of('too-large', 2 * MIB)));
    }
    const largest = of('largest', MIB);
    expect((await post(TEMPLATES, largest)).status).toBe(201);
    expect(JSON.stringify((await engine.client.getTemplate('largest')).definition) === largest).toBe(true);
    expect((await engine.end(await engine.start('largest'))).status).toBe('completed');
  });
});
