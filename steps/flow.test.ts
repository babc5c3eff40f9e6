/** The step types without a world outside: noop, transform, merge, switch, log, fail, script, delay. */
import { describe, expect, test } from 'bun:test';
import type { Json } from '../core/json/json.ts';
import { failureOf } from '../tests/support/http-peer.ts';
import { stepContext } from '../tests/support/step-context.ts';
import { delay } from './delay.ts';
import { fail } from './fail.ts';
import { log } from './log.ts';
import { merge } from './merge.ts';
import { noop } from './noop.ts';
import { createScript } from './script.ts';
import { Parked, Routed, type ScriptOptions, StepFailure } from './step-type.ts';
import { switchStep } from './switch.ts';
import { transform } from './transform.ts';

function caught(run: () => unknown): StepFailure {
  try {
    run();
  } catch (error) {
    if (error instanceof StepFailure) return error;
    throw error;
  }
  throw new Error('expected a StepFailure');
}

describe('noop', () => {
  test('gives its parameters, an empty object too', () => {
    expect(noop.run(stepContext({ params: { a: 1 }, inputs: { x: 2 } }))).toEqual({ a: 1 });
    expect(noop.run(stepContext({ params: {}, inputs: { x: 2 } }))).toEqual({});
  });

  test('without parameters gives what arrived', () => {
    expect(noop.run(stepContext({ inputs: { x: 2, y: [3] } }))).toEqual({ x: 2, y: [3] });
  });
});

describe('transform', () => {
  test.each([[0], [false], [''], [null], [{ a: [1] }]])('gives the value %j', (value: Json) => {
    expect(transform.run(stepContext({ params: { value } }))).toEqual(value);
  });

  test('gives null for a value that came out undefined', () => {
    expect(transform.run(stepContext({ params: {} }))).toBeNull();
  });
});

describe('merge', () => {
  const merged = (mode: 'collect' | 'combine' | 'append' | undefined, inputs: Record<string, Json>) =>
    merge.run(stepContext({ params: mode === undefined ? {} : { mode }, inputs }));

  test('collects by default, in the order of needs', () => {
    const output = merged(undefined, { b: 1, a: [2], c: null });
    expect(JSON.stringify(output)).toBe('{"b":1,"a":[2],"c":null}');
  });

  test('combines objects shallowly, later ones winning', () => {
    expect(merged('combine', { a: { x: 1, o: { p: 1 } }, b: { x: 2, o: { q: 2 } } })).toEqual({
      x: 2,
      o: { q: 2 },
    });
  });

  test.each([['a text'], [1], [null], [[{}]]])('refuses to combine %j', (output: Json) => {
    const failure = caught(() => merged('combine', { a: {}, bad: output }));
    expect(failure).toMatchObject({
      code: 'merge_not_an_object',
      retryable: false,
      details: { step: 'bad' },
    });
    expect(failure.message).toContain('"bad"');
  });

  test('combines a key named __proto__ as a plain key', () => {
    const output = merged('combine', { a: JSON.parse('{"__proto__":{"polluted":true},"x":1}') }) as object;
    expect(JSON.stringify(output)).toBe('{"__proto__":{"polluted":true},"x":1}');
    expect((output as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test('appends to one array, flattening one level', () => {
    expect(merged('append', { a: [1, [2]], b: 3, c: [], d: { e: 4 }, f: null })).toEqual([
      1,
      [2],
      3,
      { e: 4 },
      null,
    ]);
  });

  test.each([
    ['collect', {}],
    ['combine', {}],
    ['append', []],
  ] as const)('of nothing in mode %s is empty', (mode, empty) => {
    expect(merged(mode, {})).toEqual(empty);
  });
});

describe('switch', () => {
  const cases = [
    { route: 'a', when: '${{ a }}' },
    { route: 'b', when: '${{ b }}' },
    { route: 'a', when: '${{ c }}' },
  ];

  /** Evaluates `${{ name }}` by looking it up; a name that is missing throws. */
  async function taken(values: Record<string, Json>, more: { default?: string; multiple?: boolean } = {}) {
    const asked: Json[] = [];
    const evaluate = async (when: Json) => {
      const name = /\w+/.exec(String(when))![0];
      asked.push(name);
      if (!(name in values)) throw new StepFailure('expression_failed', name);
      return values[name]!;
    };
    const result = await switchStep.run(stepContext({ params: { cases, ...more }, evaluate }));
    if (!(result instanceof Routed)) throw new Error('expected routes');
    expect(result.output).toEqual({ routes: [...result.routes] });
    return { routes: result.routes, asked };
  }

  test('takes the first case that is true and evaluates none after it', async () => {
    expect(await taken({ a: 0, b: 'yes' })).toEqual({ routes: ['b'], asked: ['a', 'b'] });
  });

  test('with multiple takes every case that is true, each route once', async () => {
    expect((await taken({ a: 1, b: 0, c: {} }, { multiple: true })).routes).toEqual(['a']);
    expect((await taken({ a: 1, b: 1, c: null }, { multiple: true, default: 'd' })).routes).toEqual([
      'a',
      'b',
    ]);
  });

  test('takes the default when no case is true, and no route without one', async () => {
    expect((await taken({ a: '', b: null, c: 0 }, { default: 'd' })).routes).toEqual(['d']);
    expect((await taken({ a: false, b: false, c: false })).routes).toEqual([]);
  });

  test('fails when a case it needs cannot be evaluated', async () => {
    expect(await failureOf(taken({ a: false }))).toMatchObject({ code: 'expression_failed' });
  });

  test('takes a case that is simply true', async () => {
    const result = await switchStep.run(stepContext({ params: { cases: [{ route: 'x', when: true }] } }));
    expect(result).toEqual(new Routed({ routes: ['x'] }, ['x']));
  });

  test('declares its cases in order and then its default, each once', () => {
    expect(switchStep.routes!({ cases, default: 'z' } as never)).toEqual(['a', 'b', 'z']);
    expect(switchStep.routes!({ cases, default: 'b' } as never)).toEqual(['a', 'b']);
  });

  test.each([
    [{}],
    [{ cases: 'text' }],
    [{ cases: [null, 1, {}, { route: 2 }] }],
    [{ cases: [{ route: '${{ x }}' }] }],
  ])('declares nothing it cannot read: %j', (params) => {
    expect(switchStep.routes!(params as never)).toEqual([]);
  });
});

describe('log', () => {
  test('writes its message and passes it on', () => {
    const context = stepContext({ params: { message: 'hello' } });
    expect(log.run(context)).toBe('hello');
    expect(context.lines).toEqual([{ level: 'info', message: 'hello', fields: undefined }]);
  });

  test('writes a value as JSON, at the level it is given', () => {
    const context = stepContext({ params: { message: { a: 1 }, level: 'warn' as const } });
    expect(log.run(context)).toEqual({ a: 1 });
    expect(context.lines).toEqual([{ level: 'warn', message: '{"a":1}', fields: undefined }]);
  });
});

describe('fail', () => {
  test('fails with its code, message and details, and is not retried', () => {
    const params = { code: 'out_of_stock', message: 'none left', details: { sku: 1 } };
    const failure = caught(() => fail.run(stepContext({ params })));
    expect(failure).toMatchObject({ ...params, retryable: false });
  });

  test('has a code and a message of its own', () => {
    const failure = caught(() => fail.run(stepContext()));
    expect(failure).toMatchObject({
      code: 'failed',
      message: 'step "step" failed on purpose',
      details: null,
    });
  });
});

describe('script', () => {
  const script = createScript({ timeoutMs: 5_000, memoryBytes: 64 * 2 ** 20 });

  async function handed(params: Parameters<typeof script.run>[0]['params']) {
    let call: { code: string; input: Json; options: ScriptOptions } | undefined;
    const runScript = async (code: string, input: Json, options: ScriptOptions) => {
      call = { code, input, options };
      return 'result';
    };
    const context = stepContext({ params, inputs: { a: 1 }, runScript });
    expect(await script.run(context)).toBe('result');
    expect(call!.options.signal).toBe(context.signal);
    return call!;
  }

  test('hands its code over as it is written, with the limits of the engine', async () => {
    const code = 'return `${{ a: 1 }.a}`';
    expect(script.deferred).toEqual(['/code']);
    expect(await handed({ code, input: { x: 1 } })).toMatchObject({
      code,
      input: { x: 1 },
      options: { timeoutMs: 5_000, memoryBytes: 64 * 2 ** 20 },
    });
  });

  test('without an input gets what arrived; a null input stays null', async () => {
    expect((await handed({ code: 'return input' })).input).toEqual({ a: 1 });
    expect((await handed({ code: 'return input', input: null })).input).toBeNull();
  });

  test.each([
    ['32mb', 32 * 2 ** 20],
    ['512 KB', 512 * 2 ** 10],
    ['1GB', 2 ** 30],
    ['4096', 4_096],
    [4_096, 4_096],
  ])('reads the memory %p', async (memory, memoryBytes) => {
    expect((await handed({ code: '1', memory, timeout: '250ms' })).options).toMatchObject({
      memoryBytes,
      timeoutMs: 250,
    });
  });

  test.each([
    { memory: 'much' },
    { memory: 0 },
    { memory: -1 },
    { memory: 1.5 },
    { timeout: '1y' },
    { timeout: 0 },
  ])('refuses %j', (limits) => {
    expect(caught(() => script.run(stepContext({ params: { code: '1', ...limits } })))).toMatchObject({
      code: 'invalid_params',
      retryable: false,
    });
  });
});

describe('delay', () => {
  const run = (params: Parameters<typeof delay.run>[0]['params']) => delay.run(stepContext({ params }));

  test('parks for its duration', () => {
    expect(run({ for: '5m' })).toEqual(new Parked({ forMs: 300_000 }));
    expect(run({ for: 250 })).toEqual(new Parked({ forMs: 250 }));
  });

  test.each([
    ['2999-01-31T09:00:00+02:00', '2999-01-31T07:00:00.000Z'],
    ['2999-01-31T09:00Z', '2999-01-31T09:00:00.000Z'],
    ['2999-01-31', '2999-01-31T00:00:00.000Z'],
    [Date.UTC(2999, 0, 31), '2999-01-31T00:00:00.000Z'],
  ])('parks until %p', (until, instant) => {
    expect(run({ until })).toEqual(new Parked({ until: instant }));
  });

  test('says how long it waited when it is resumed, by the measure of the database', () => {
    const resumed = { state: null, parkedMs: 1_234 };
    expect(delay.run(stepContext({ params: { for: '1s' }, resumed }))).toEqual({ waitedMs: 1_234 });
  });

  test('completes at once when there is nothing to wait for', () => {
    expect(run({ for: 0 })).toEqual({ waitedMs: 0 });
    expect(run({ until: '2001-01-01T00:00:00Z' })).toEqual({ waitedMs: 0 });
  });

  test("leaves an instant near now to the database, whatever this process's clock says", () => {
    const until = new Date(Date.now() - 60_000).toISOString();
    expect(run({ until })).toEqual(new Parked({ until }));
  });

  test.each([
    { for: 'soon' },
    { for: -1 },
    { for: 1.5 },
    { for: '1' },
    { for: '1 s' },
    { for: '1.5s' },
    { for: 1e300 },
    { until: 'tomorrow' },
    { until: '2999-01-31T09:00:00' },
    { until: '2999-13-31T09:00:00Z' },
    { until: '2999-02-30T00:00:00Z' },
    { until: '2001-02-30T00:00:00Z' },
    { until: '2999-02-30' },
    { until: 1e300 },
    { until: Number.NaN },
  ])('refuses %j', (params) => {
    expect(caught(() => run(params))).toMatchObject({ code: 'invalid_params', retryable: false });
  });
});
