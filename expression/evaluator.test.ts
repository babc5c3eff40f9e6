import { afterAll, expect, test } from 'bun:test';
import type { Json } from '../core/json/json.ts';
import type { Scope } from './compiled.ts';
import { compileValue } from './compiled-value.ts';
import { compileCondition } from './condition.ts';
import { createEvaluator } from './evaluator.ts';
import type { ExpressionError } from './expression-error.ts';
import { createSandbox } from './sandbox/sandbox.ts';

const sandbox = createSandbox({ size: 1 });
const evaluator = createEvaluator(sandbox);
afterAll(() => sandbox.close());

const run = (value: Json, scope: Scope = {}, deferred: string[] = []): unknown =>
  evaluator.evaluate(compileValue(value, deferred), scope);
const failure = async (value: Json, scope: Scope = {}): Promise<ExpressionError> => {
  try {
    await run(value, scope);
  } catch (error) {
    return error as ExpressionError;
  }
  throw new Error('nothing failed');
};

test('a string that is one expression keeps the type of the value', () => {
  const scope = { input: { n: 1, list: [1, { a: null }], no: false } };
  expect(
    run(
      { n: '${{ input.n }}', list: ' ${{ input.list }} ', no: '${{ input.no }}', o: '${{ {a: {b: 1}} }}' },
      scope,
    ),
  ).toEqual({
    n: 1,
    list: [1, { a: null }],
    no: false,
    o: { a: { b: 1 } },
  });
});

test('otherwise the parts are joined as text', async () => {
  const scope = { input: { a: null, o: { x: [1] }, n: 1.5, t: true } };
  const text = '<${{ input.a }}|${{ input.missing }}|${{ input.o }}|${{ input.n }}|${{ input.t }}>';
  expect(run(text, scope)).toBe('<||{"x":[1]}|1.5|true>');
  expect(await run('${{ input.o.x.map(x => x + 1) }}, ${{ new Date(0) }}', scope)).toBe(
    '[2], 1970-01-01T00:00:00.000Z',
  );
});

test('undefined drops a key, is null in an array and null as a whole, in both lanes', async () => {
  const scope = { input: { list: [1] } };
  for (const missing of ['input.missing', 'input.list.find(x => x > 1)']) {
    const part = `\${{ ${missing} }}`;
    expect(await run({ a: part, b: [part], c: 1 }, scope)).toEqual({ b: [null], c: 1 });
    expect(await run(part, scope)).toBeNull();
    expect(await run(`\${{ { a: ${missing}, b: [${missing}] } }}`, scope)).toEqual({ b: [null] });
    expect(Object.keys((await run(`\${{ { a: ${missing}, b: 1 } }}`, scope)) as object)).toEqual(['b']);
  }
});

test('a value is computed at once when all of it is native, and in one round trip otherwise', async () => {
  const before = sandbox.counters.evaluations;
  expect(run({ a: '${{ input.a + 1 }}' }, { input: { a: 1 } })).toEqual({ a: 2 });
  expect(sandbox.counters.evaluations).toBe(before);
  const mixed = run(
    { a: '${{ input.a + 1 }}', b: '${{ input.a.toFixed(2) }}', c: '${{ Math.max(1, 2) }}' },
    { input: { a: 1 } },
  );
  expect(mixed).toBeInstanceOf(Promise);
  expect(await mixed).toEqual({ a: 2, b: '1.00', c: 2 });
});

test('a key that surprises at run time is read by the sandbox', async () => {
  expect(await run('${{ typeof input[item] }}', { input: {}, item: 'constructor' })).toBe('function');
  expect(await run('${{ input["__proto__"] }}', { input: JSON.parse('{"__proto__":{"a":1}}') })).toEqual({
    a: 1,
  });
  expect('a' in {}).toBe(false);
});

test('a member named __proto__ stays a member', () => {
  const result = run(JSON.parse('{"__proto__":{"a":"${{ input.a }}"}}'), { input: { a: 1 } });
  expect(JSON.stringify(result)).toBe('{"__proto__":{"a":1}}');
});

test('deferred parameters are left as they were written', () => {
  const value = { cases: [{ route: '${{ input.a }}', when: '${{ nope. }}' }] };
  expect(run(value, { input: { a: 'x' } }, ['/cases/*/when'])).toEqual({
    cases: [{ route: 'x', when: '${{ nope. }}' }],
  });
});

test('the sandbox gets only the parts of the scope that are named', async () => {
  const read: string[] = [];
  const spied = (name: string, members: object): object =>
    Object.defineProperties(
      {},
      Object.fromEntries(
        Object.entries(members).map(([key, value]) => [
          key,
          {
            enumerable: true,
            get: () => {
              read.push(`${name}.${key}`);
              return value;
            },
          },
        ]),
      ),
    );
  const scope = {
    secrets: spied('secrets', { USED: 's3cret', OTHER: 'no' }),
    steps: { a: spied('a', { output: { x: 1 }, error: null }), b: spied('b', { output: 2 }) },
  };
  expect(await run('${{ [secrets.USED, steps.a.output.x].map(String) }}', scope)).toEqual(['s3cret', '1']);
  expect(read.sort()).toEqual(['a.output', 'secrets.USED']);
  expect(await run('${{ Object.keys(steps).concat(Object.keys(secrets)) }}', scope)).toEqual([
    'a',
    'b',
    'USED',
    'OTHER',
  ]);
});

test('parts of one value do not see what other parts did to their scope', async () => {
  const value = {
    a: '${{ input.list.reverse() }}',
    b: '${{ input.list.slice() }}',
    c: '${{ Array.prototype.x = 1, 0 }}',
  };
  expect(compileValue(value).problems.map(({ pointer }) => pointer)).toEqual(['/c']);
  const polluting = {
    a: '${{ Object.assign(Array.prototype, { x: 1 }).x }}',
    b: '${{ [].x ?? "clean" }}',
    c: '${{ Object.keys([]).concat([][0] ?? "clean") }}',
  };
  expect(await run({ a: value.a, b: value.b }, { input: { list: [1, 2] } })).toEqual({
    a: [2, 1],
    b: [1, 2],
  });
  expect(await run(polluting)).toEqual({ a: 1, b: 'clean', c: ['clean'] });
});

test('a failure names its pointer, its expression and the reason', async () => {
  const scope = { steps: { a: { output: null } } };
  const native = await failure({ x: ['${{ steps.a.output.id }}'] }, scope);
  expect([native.code, native.pointer]).toEqual(['expression_failed', '/x/0']);
  expect(native.message).toContain('write steps.a.output?.id');
  const sandboxed = await failure({ x: '${{ Math.abs(1) }}', y: '${{ steps.a.output.id.trim() }}' }, scope);
  expect([sandboxed.code, sandboxed.pointer]).toEqual(['expression_failed', '/y']);
  expect(sandboxed.message).toContain('${{ steps.a.output.id.trim() }}');
  expect(sandboxed.message).toContain('?.');
  expect((await failure({ a: ['${{ (() => { throw new RangeError("far") })() }}'] })).errorName).toBe(
    'RangeError',
  );
});

test('numbers that are not finite come back from both lanes for the caller to refuse', async () => {
  expect(run({ a: '${{ 1 / 0 }}', b: '${{ [NaN] }}' })).toEqual({
    a: Number.POSITIVE_INFINITY,
    b: [Number.NaN],
  });
  expect(await run('${{ [1].map(x => [x / 0, -x / 0, "\\0x", "\\0\\0"]) }}')).toEqual([
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, '\0x', '\0\0'],
  ]);
  expect(Object.is(run('${{ -0 }}'), 0)).toBe(true);
});

test('what JSON has no word for fails with a reason', async () => {
  expect((await failure('${{ BigInt(1) }}')).message).toContain('BigInt');
  expect((await failure('${{ Promise.resolve(1) }}')).message).toContain('promise');
});

test('a value that names one large part many times over is refused before it is written', async () => {
  const large = 'x'.repeat(100_000);
  const doubling = `\${{ [${Array(400).fill('input').join()}] }}`;
  expect((await failure(doubling, { input: [large] })).code).toBe('output_not_storable');
  const text = Array(20).fill('${{ input }}').join('');
  expect((await failure(text, { input: [large] })).code).toBe('output_not_storable');
});

test('a condition is true or false by JavaScript truthiness in both lanes', async () => {
  const decide = (when: string | boolean, scope: Scope = {}): unknown =>
    evaluator.evaluateCondition(compileCondition(when), scope);
  expect([
    decide(true),
    decide(false),
    decide('${{ input.a > 1 }}', { input: { a: 2 } }),
    decide('${{ "" }}'),
  ]).toEqual([true, false, true, false]);
  expect(
    await Promise.all([
      decide('${{ (x => x) }}'),
      decide('${{ Number("x") }}'),
      decide('${{ [].concat() }}'),
      decide('${{ 0n }}'),
    ]),
  ).toEqual([true, false, true, false]);
});

test('constants of the definition are copied, so that a handler cannot change them', () => {
  const compiled = compileValue({ list: [1], x: '${{ 1 }}' });
  const first = evaluator.evaluate(compiled, {}) as { list: number[] };
  first.list.push(2);
  expect(evaluator.evaluate(compiled, {})).toEqual({ list: [1], x: 1 });
});
