import { afterAll, expect, test } from 'bun:test';
import type { Json } from '../../core/json/json.ts';
import type { ExpressionError } from '../expression-error.ts';
import { createSandbox, type ScriptCall } from './sandbox.ts';

const sandbox = createSandbox({ size: 2 });
afterAll(() => sandbox.close());

const CALL: ScriptCall = { timeoutMs: 20_000, memoryBytes: 32 * 1024 * 1024 };
const script = (code: string, input: Json = null, call: Partial<ScriptCall> = {}): Promise<Json> =>
  sandbox.runScript(code, input, { ...CALL, ...call });
const failed = async (work: Promise<unknown>): Promise<ExpressionError> =>
  work.then(
    (value) => {
      throw new Error(`did not fail but gave ${JSON.stringify(value)}`);
    },
    (error: ExpressionError) => error,
  );

test('a script is the body of an async function of its input', async () => {
  expect(await script('return input.a + 1', { a: 1 })).toBe(2);
  expect(await script('return await Promise.resolve(1)')).toBe(1);
  expect(
    await script(
      'const all = await Promise.all([1, 2].map(async (x) => { await null; return x * 2 }));\nreturn { all }',
    ),
  ).toEqual({ all: [2, 4] });
  expect(await script('// nothing')).toBeNull();
});

test('the input of a script that waits for a process is not written out yet', async () => {
  let written = 0;
  const input = {
    toJSON: () => {
      written += 1;
      return 7;
    },
  };
  const results = Array.from({ length: 10 }, () => script('return input', input as unknown as Json));
  const first = await Promise.race(results);
  expect([first, written < 10]).toEqual([7, true]);
  expect(await Promise.all(results)).toEqual(Array.from({ length: 10 }, () => 7));
  expect(written).toBe(10);
});

test('an input that cannot be written fails its own script, and no other', async () => {
  const broken = {
    toJSON: () => {
      throw new Error('too long');
    },
  };
  const [bad, good] = await Promise.allSettled([
    script('return 1', broken as unknown as Json),
    script('return 2'),
  ]);
  expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'script_failed' } });
  expect(good).toEqual({ status: 'fulfilled', value: 2 });
});

test('the lines a script logs are handed over as they are written', async () => {
  const lines: [string, string][] = [];
  await script('console.log("a", 1, { b: [2] }); console.error("\\ud800\\0")', null, {
    onLog: (line, level) => lines.push([level, line]),
  });
  expect(lines).toEqual([
    ['info', 'a 1 {"b":[2]}'],
    ['error', '\ud800\0'],
  ]);
});

test('a script that throws tells the error and the line', async () => {
  const thrown = await failed(script('const a = 1;\nconst b = () => input.x.y;\nreturn b()', {}));
  expect([thrown.code, thrown.errorName, thrown.line]).toEqual(['script_failed', 'TypeError', 2]);
  const syntax = await failed(script('let a;\nlet b = ;'));
  expect([syntax.code, syntax.errorName, syntax.line]).toEqual(['script_failed', 'SyntaxError', 2]);
  expect((await failed(script('throw "\\ud800 plain"'))).message).toBe('\ud800 plain');
  expect((await failed(script('throw { toString() { throw 1 }, get message() { throw 2 } }'))).code).toBe(
    'script_failed',
  );
  expect((await failed(script('await new Promise(() => {})'))).message).toContain('promise');
});

test('a script over its time, its memory or its output has a code of its own', async () => {
  expect((await failed(script('for (;;);', null, { timeoutMs: 100 }))).code).toBe('script_timeout');
  expect((await failed(script('for (;;) await null', null, { timeoutMs: 100 }))).code).toBe('script_timeout');
  expect((await failed(script('return new Array(1e7).fill(0).map(() => ({}))'))).code).toBe(
    'script_out_of_memory',
  );
  expect((await failed(script('return "x".repeat(2e6)'))).code).toBe('output_not_storable');
  expect((await failed(script('let a = []; for (let i = 0; i < 600; i++) a = [a]; return a'))).code).toBe(
    'output_not_storable',
  );
});

test('an abort answers at once and the process that ran the script is replaced', async () => {
  const controller = new AbortController();
  const spinning = failed(
    script('console.log("running"); for (;;);', null, {
      timeoutMs: 60_000,
      signal: controller.signal,
      onLog: () => controller.abort(),
    }),
  );
  expect((await spinning).code).toBe('aborted');
  expect(await script('return 1')).toBe(1);
  expect((await failed(script('return 1', null, { signal: AbortSignal.abort() }))).code).toBe('aborted');
});

test('every text survives the way in and out', async () => {
  const texts = ['\0', '\ud800', '\udc00\ud800', '€𝄞', '\u2028\r\n', '"\\', '\0\0NaN', '__proto__'];
  expect(await script('return input', texts)).toEqual(texts);
  expect(await sandbox.evaluate(`[input, ${JSON.stringify(texts)}].flat()`, { input: texts })).toEqual([
    ...texts,
    ...texts,
  ]);
  expect(await script('return "x".repeat(1e6 - 10).length + input.length', 'é'.repeat(2e6))).toBe(
    1e6 - 10 + 2e6,
  );
});

test('nothing of the host can be reached', async () => {
  const escapes: [string, unknown][] = [
    [
      'typeof process + typeof require + typeof module + typeof Bun + typeof fetch + typeof setTimeout',
      'undefined'.repeat(6),
    ],
    ['this.constructor.constructor("return typeof process")()', 'undefined'],
    [
      'input.constructor.constructor("return typeof globalThis.process + typeof globalThis.Bun")()',
      'undefinedundefined',
    ],
    ['(() => {}).constructor("return Object.keys(globalThis)")()', ['performance']],
    [
      'Object.getOwnPropertyNames(globalThis).filter(name => /^(std|os|bjson|print|load|script|worker|deno|node)/i.test(name))',
      [],
    ],
    [
      '(() => { try { null.x } catch (error) { return error.constructor.constructor("return typeof process")() } })()',
      'undefined',
    ],
    ['Object.getOwnPropertyNames(new Error().stack.constructor.prototype).length > 0', true],
    [
      'Reflect.ownKeys(globalThis).filter(key => typeof globalThis[key] === "function" && /native|host/i.test(String(key)))',
      [],
    ],
  ];
  for (const [source, expected] of escapes) {
    const result = await sandbox
      .evaluate(source, { input: {} })
      .catch((error: ExpressionError) => error.code);
    expect({ source, result }).toEqual({
      source,
      result: source.startsWith('this') ? 'expression_failed' : expected,
    });
  }
  for (const source of ['import("node:fs")', 'import("os")', 'import("std")']) {
    const outcome = await script(
      `try { return Object.keys(await ${source}) } catch (error) { return 'refused' }`,
    ).catch(() => 'refused');
    expect({ source, outcome }).toEqual({ source, outcome: 'refused' });
  }
});

test('the environment of a sandbox process holds nothing of the engine', async () => {
  expect(await script('return [typeof process, typeof globalThis.process?.env]')).toEqual([
    'undefined',
    'undefined',
  ]);
  expect(await sandbox.evaluate('new Date(0).getTimezoneOffset()', {})).toBe(0);
});

test('what one evaluation does to the prototypes is not seen by another', async () => {
  const pollute =
    'Object.prototype.x = Array.prototype.toJSON = () => "polluted"; JSON.stringify = JSON.parse = null; globalThis.y = 1;';
  await script(`${pollute} return 1`).catch(() => null);
  await sandbox.evaluate(`(() => { ${pollute} return 1 })()`, {}).catch(() => null);
  const seen = 'typeof ({}).x + typeof JSON.parse + JSON.stringify([1]) + typeof y';
  expect(await sandbox.evaluate(seen, {})).toBe('undefinedfunction[1]undefined');
  expect(await script(`return ${seen}`)).toBe('undefinedfunction[1]undefined');
});

test('many evaluations of one tick are all answered, each with its own result', async () => {
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, n) => sandbox.evaluate(`input.n * 2 + Math.abs(0)`, { input: { n } })),
  );
  expect(results).toEqual(Array.from({ length: 100 }, (_, n) => n * 2));
});

test('a closed sandbox answers every call with aborted', async () => {
  const own = createSandbox({ size: 1 });
  const pending = failed(own.evaluate('(() => { for (;;); })()', {}));
  own.close();
  expect((await pending).code).toBe('aborted');
  expect((await failed(own.evaluate('1', {}))).code).toBe('aborted');
});
