import { describe, expect, test } from 'bun:test';
import { errorsOf, read, readSteps, stepTypes, templateOf } from './reading.ts';

const noop = { type: 'noop' };

/** The errors of one step named `a`. */
function step(fields: Record<string, unknown>): string[] {
  return errorsOf(readSteps({ a: { ...noop, ...fields } }));
}

describe('the definition of the contract', () => {
  const url = 'https://stock.example/reserve';
  const { template, errors, warnings } = read({
    name: 'order-fulfilment',
    description: 'Reserve, charge, ship',
    input: { type: 'object', required: ['orderId'], properties: { orderId: { type: 'string' } } },
    timeout: '1h',
    onFailure: 'stop',
    output: '${{ steps.ship.output.body.trackingId }}',
    steps: {
      reserve: {
        type: 'http',
        with: { method: 'POST', url, body: { order: '${{ input.orderId }}' } },
        retry: { limit: 5, delay: '1s', backoff: 'exponential', maxDelay: '1m' },
        timeout: '30s',
      },
      decide: {
        type: 'switch',
        needs: ['reserve'],
        with: {
          cases: [{ route: 'express', when: '${{ steps.reserve.output.body.total > 100 }}' }],
          default: 'standard',
        },
      },
      express: { type: 'http', needs: [{ step: 'decide', route: 'express' }], with: { url } },
      standard: { type: 'http', needs: [{ step: 'decide', route: 'standard' }], with: { url } },
      ship: { type: 'merge', needs: ['express', 'standard'], with: { mode: 'combine' } },
      alert: { type: 'http', needs: [{ step: 'reserve', on: 'failure' }], with: { url } },
    },
  });

  test('is valid', () => {
    expect(errors).toEqual([]);
    expect(warnings).toEqual([]);
  });

  test('becomes a template in milliseconds, with merged edges', () => {
    expect(template).toMatchObject({ name: 'order-fulfilment', timeoutMs: 3_600_000, onFailure: 'stop' });
    expect(template?.steps.map(({ key }) => key)).toEqual([
      'reserve',
      'decide',
      'express',
      'standard',
      'ship',
      'alert',
    ]);
    expect(template?.steps[0]).toMatchObject({
      retry: { limit: 5, delayMs: 1_000, backoff: 'exponential', maxDelayMs: 60_000, jitter: true },
      timeoutMs: 30_000,
      edges: [],
      needsCount: 0,
    });
    expect(template?.steps[2]?.edges).toEqual([
      { from: 'decide', conditions: [{ on: 'success', routes: ['express'] }] },
    ]);
    expect(template?.steps[5]?.edges).toEqual([
      { from: 'reserve', conditions: [{ on: 'failure', routes: null }] },
    ]);
  });
});

test('the smallest definition gets its defaults', () => {
  expect(templateOf({ a: noop })).toEqual({
    name: 'order',
    description: null,
    input: null,
    timeoutMs: null,
    onFailure: 'stop',
    output: undefined,
    steps: [
      {
        key: 'a',
        type: 'noop',
        edges: [],
        needsCount: 0,
        join: 'all',
        cancelsLosers: false,
        when: undefined,
        with: undefined,
        retry: { limit: 0, delayMs: 1_000, backoff: 'exponential', maxDelayMs: null, jitter: true },
        timeoutMs: null,
        heartbeatTimeoutMs: null,
        priority: 0,
        concurrency: null,
        rateLimit: null,
        compensation: null,
        scopes: [],
      },
    ],
  });
});

describe('the document', () => {
  test('must be an object', () => {
    for (const document of [null, undefined, 3, 'x', [], true])
      expect(errorsOf(read(document))).toEqual(['not_an_object ']);
  });

  test('must have a name and steps', () => {
    expect(errorsOf(read({}))).toEqual(['missing_field /name', 'no_steps /steps']);
    expect(errorsOf(read({ name: 'a', steps: {} }))).toEqual(['no_steps /steps']);
    expect(errorsOf(read({ name: 'a', steps: [] }))).toEqual(['invalid_type /steps']);
  });

  test('has no other fields than the known ones, and suggests the nearest', () => {
    const { errors } = readSteps({ a: noop }, { onFailur: 'stop', nonsense: 1 });
    expect(errors.map(({ code, pointer }) => `${code} ${pointer}`)).toEqual([
      'unknown_field /onFailur',
      'unknown_field /nonsense',
    ]);
    expect(errors[0]?.message).toContain('Did you mean "onFailure"?');
    expect(errors[1]?.message).not.toContain('Did you mean');
  });

  test('may name its schema for editors', () => {
    expect(templateOf({ a: noop }, { $schema: './definition.schema.json' }).name).toBe('order');
  });

  test('has a name of letters, digits, dots, underscores and dashes', () => {
    for (const name of ['a', '0', 'Order_1.2-x', 'a'.repeat(128)]) {
      expect(errorsOf(readSteps({ a: noop }, { name }))).toEqual([]);
    }
    for (const name of ['', '-a', '.a', 'a b', 'a/b', 'é', 'a\n', 'a'.repeat(129)]) {
      expect(errorsOf(readSteps({ a: noop }, { name }))).toEqual(['invalid_name /name']);
    }
    expect(errorsOf(readSteps({ a: noop }, { name: 3 }))).toEqual(['invalid_type /name']);
  });

  test('reports wrong types and values of its header', () => {
    const header = { description: 3, timeout: 'soon', onFailure: 'stopp', input: 'string' };
    expect(errorsOf(readSteps({ a: noop }, header)).sort()).toEqual([
      'invalid_duration /timeout',
      'invalid_type /description',
      'invalid_type /input',
      'invalid_value /onFailure',
    ]);
  });

  test('has a JSON Schema 2020-12 as its input', () => {
    expect(templateOf({ a: noop }, { input: false }).input).toBe(false);
    const input = { type: 'object', properties: { a: { type: 'strin' }, b: { pattern: '(?=x)' } } };
    expect(errorsOf(readSteps({ a: noop }, { input }))).toEqual(['invalid_schema /input/properties/a/type']);
    const { errors } = readSteps({ a: noop }, { input: { properties: { b: { $ref: '#/$defs/no' } } } });
    expect(errors).toMatchObject([{ code: 'invalid_schema', pointer: '/input/properties/b/$ref' }]);
  });

  test('keeps an output of null apart from none', () => {
    expect(templateOf({ a: noop }, { output: null }).output).toBeNull();
    expect(templateOf({ a: noop }).output).toBeUndefined();
  });

  test('is refused where it cannot be stored', () => {
    expect(errorsOf(readSteps({ a: { ...noop, with: { x: 'a\0b' } } }))).toEqual([
      'not_storable /steps/a/with/x',
    ]);
    expect(errorsOf(readSteps({ a: { ...noop, with: { '\ud800': 1 } } }))).toEqual([
      'not_storable /steps/a/with',
    ]);
    expect(errorsOf(readSteps({ a: { ...noop, with: { x: Number.NaN } } }))).toEqual([
      'not_storable /steps/a/with/x',
    ]);
    expect(errorsOf(readSteps({ a: { ...noop, with: { x: new Date(0) } } }))).toEqual([
      'not_storable /steps/a/with/x',
    ]);
    let deep: unknown = {};
    for (let level = 0; level < 20_000; level++) deep = { deep };
    expect(readSteps({ a: { ...noop, with: { deep } } }).errors[0]).toMatchObject({ code: 'too_deep' });
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    expect(readSteps({ a: { ...noop, with: cyclic } }).errors[0]).toMatchObject({ code: 'not_storable' });
  });

  test('reports what cannot be stored together with everything else', () => {
    expect(errorsOf(readSteps({ a: { type: 'nop', with: { x: '\0' } } }))).toEqual([
      'not_storable /steps/a/with/x',
      'unknown_step_type /steps/a/type',
    ]);
  });
});

describe('the key of a step', () => {
  test('is a letter or underscore and up to 63 more characters', () => {
    for (const key of ['a', '_', 'A-b_9', 'a'.repeat(64)])
      expect(errorsOf(readSteps({ [key]: noop }))).toEqual([]);
    for (const key of ['1a', '-a', 'a.b', 'a b', 'é', '', 'a'.repeat(65), 'a/b']) {
      expect(errorsOf(readSteps({ [key]: noop }))[0]).toStartWith('invalid_key /steps/');
    }
  });

  test('may be a name that every object inherits', () => {
    const template = templateOf({
      constructor: noop,
      toString: { ...noop, needs: ['constructor'] },
      hasOwnProperty: {
        ...noop,
        needs: ['constructor', 'toString'],
        with: { x: '${{ steps["constructor"].output }}' },
      },
      valueOf: { type: 'switch', with: { cases: [{ route: 'toString', when: true }] } },
      // biome-ignore lint/suspicious/noThenProperty: a key of data
      then: { ...noop, needs: [{ step: 'valueOf', route: 'toString' }] },
    });
    expect(template.steps.map(({ key }) => key)).toEqual([
      'constructor',
      'toString',
      'hasOwnProperty',
      'valueOf',
      'then',
    ]);
    expect(errorsOf(readSteps({ a: { ...noop, needs: ['constructor'] } }))).toContain(
      'unknown_need /steps/a/needs/0',
    );
    expect(errorsOf(readSteps({ a: { type: 'toString' } }))).toEqual(['unknown_step_type /steps/a/type']);
  });

  test('is not __proto__', () => {
    const steps = JSON.parse('{"__proto__":{"type":"noop"},"a":{"type":"noop"}}');
    expect(errorsOf(readSteps(steps))).toEqual(['invalid_key /steps/__proto__']);
    const fields = JSON.parse('{"type":"noop","__proto__":{"with":{}}}');
    expect(errorsOf(readSteps({ a: fields }))).toEqual(['unknown_field /steps/a/__proto__']);
  });
});

describe('a step', () => {
  test('is an object with a registered type', () => {
    expect(errorsOf(readSteps({ a: 'noop', b: null, c: [] }))).toEqual([
      'invalid_type /steps/a',
      'invalid_type /steps/b',
      'invalid_type /steps/c',
    ]);
    expect(errorsOf(readSteps({ a: {} }))).toEqual(['missing_field /steps/a/type']);
    expect(errorsOf(readSteps({ a: { type: 3 } }))).toEqual(['invalid_type /steps/a/type']);
    const { errors } = readSteps({ a: { type: 'htpp' } });
    expect(errors).toMatchObject([{ code: 'unknown_step_type', pointer: '/steps/a/type' }]);
    expect(errors[0]?.message).toContain('Did you mean "http"?');
    for (const name of stepTypes.keys()) expect(errors[0]?.message).toContain(name);
  });

  test('has no unknown fields', () => {
    const { errors } = readSteps({ a: { ...noop, need: [] } });
    expect(errors).toMatchObject([{ code: 'unknown_field', pointer: '/steps/a/need' }]);
    expect(errors[0]?.message).toContain('Did you mean "needs"?');
  });

  test('has a list of needs, or one', () => {
    const b = (needs: unknown) => errorsOf(readSteps({ a: noop, b: { ...noop, needs } }));
    for (const needs of [[], ['a'], 'a', { step: 'a' }, [{ step: 'a', on: 'always' }]])
      expect(b(needs)).toEqual([]);
    for (const needs of [null, 3, true]) expect(b(needs)).toEqual(['invalid_type /steps/b/needs']);
    expect(b([3])).toEqual(['invalid_type /steps/b/needs/0']);
    expect(b([{}])).toEqual(['missing_field /steps/b/needs/0/step']);
    expect(b([{ step: 3 }])).toEqual(['invalid_type /steps/b/needs/0/step']);
    expect(b([{ step: 'a', on: 'failed' }])).toEqual(['invalid_value /steps/b/needs/0/on']);
    expect(b([{ step: 'a', when: 1 }])).toEqual(['unknown_field /steps/b/needs/0/when']);
    expect(b([{ step: 'a', route: [] }])).toEqual(['invalid_type /steps/b/needs/0/route']);
    expect(b([{ step: 'a', route: 3 }])).toEqual(['invalid_type /steps/b/needs/0/route']);
  });

  test('merges needs that name the same step into one edge, and counts them as written', () => {
    const [, , c] = templateOf({
      a: noop,
      b: noop,
      c: { ...noop, needs: ['a', 'b', { step: 'a', on: 'failure' }] },
    }).steps;
    expect(c?.needsCount).toBe(3);
    expect(c?.edges).toEqual([
      {
        from: 'a',
        conditions: [
          { on: 'success', routes: null },
          { on: 'failure', routes: null },
        ],
      },
      { from: 'b', conditions: [{ on: 'success', routes: null }] },
    ]);
  });

  test('has a join of all, any or a number', () => {
    const join = (value: unknown) =>
      readSteps({ a: noop, b: noop, c: { ...noop, needs: ['a', 'b'], join: value } });
    expect(join('all').template?.steps[2]?.join).toBe('all');
    expect(join('any').template?.steps[2]?.join).toBe(1);
    expect(join({ atLeast: 2 }).template?.steps[2]?.join).toBe(2);
    for (const atLeast of [0, -1, 1.5, 3, '1', null])
      expect(errorsOf(join({ atLeast }))).toEqual(['invalid_join /steps/c/join']);
    for (const value of ['some', 2, null, {}, [], true])
      expect(errorsOf(join(value))).toEqual(['invalid_join /steps/c/join']);
    expect(errorsOf(join({ atLeast: 1, n: 2 }))).toEqual(['unknown_field /steps/c/join/n']);
  });

  test('has a join that cancels losers where it says how many edges it needs', () => {
    const join = (value: unknown) =>
      readSteps({ a: noop, b: noop, c: { ...noop, needs: ['a', 'b'], join: value } });
    const cancels = (value: unknown) => join(value).template?.steps[2]?.cancelsLosers;
    expect(cancels({ atLeast: 1, cancelLosers: true })).toBe(true);
    for (const value of ['all', 'any', { atLeast: 1 }, { atLeast: 1, cancelLosers: false }])
      expect(cancels(value)).toBe(false);
    for (const cancelLosers of ['true', 1, null, {}])
      expect(errorsOf(join({ atLeast: 1, cancelLosers }))).toEqual([
        'invalid_type /steps/c/join/cancelLosers',
      ]);
    expect(errorsOf(join({ cancelLosers: true }))).toEqual(['invalid_join /steps/c/join']);
    const { errors } = join({ atLeast: 1, cancelLoser: true });
    expect(errors).toMatchObject([{ code: 'unknown_field', pointer: '/steps/c/join/cancelLoser' }]);
    expect(errors[0]?.message).toContain('Did you mean "cancelLosers"?');
  });

  test('has a compensation with fewer fields than a step, checked like one', () => {
    const undo = (compensateWith: unknown) => readSteps({ a: { ...noop, compensateWith } });
    const { template } = undo({
      type: 'http',
      with: { url: 'https://x.example/${{ compensates.id }}' },
      timeout: '5s',
    });
    expect(template?.steps[0]?.compensation).toMatchObject({
      key: 'a~compensation',
      type: 'http',
      timeoutMs: 5_000,
      retry: { limit: 0 },
      edges: [],
    });
    expect(errorsOf(undo('noop'))).toEqual(['invalid_type /steps/a/compensateWith']);
    expect(errorsOf(undo({}))).toEqual(['missing_field /steps/a/compensateWith/type']);
    expect(errorsOf(undo({ type: 'htpp' }))).toEqual(['unknown_step_type /steps/a/compensateWith/type']);
    expect(errorsOf(undo({ type: 'noop', needs: ['a'], when: true }))).toEqual([
      'unknown_field /steps/a/compensateWith/needs',
      'unknown_field /steps/a/compensateWith/when',
    ]);
    expect(errorsOf(undo({ type: 'http', with: { url: 3 } }))).toEqual([
      'invalid_params /steps/a/compensateWith/with/url',
    ]);
    expect(errorsOf(undo({ type: 'noop', with: { x: '${{ steps.b.output }}' } }))).toEqual([
      'unknown_step_reference /steps/a/compensateWith/with/x',
    ]);
    expect(errorsOf(undo({ type: 'noop', with: { x: '${{ item }}' } }))).toEqual([
      'unknown_reference /steps/a/compensateWith/with/x',
    ]);
    expect(errorsOf(undo({ type: 'foreach', with: { items: 1, steps: { b: noop } } }))).toEqual([
      'invalid_compensation /steps/a/compensateWith/type',
    ]);
    expect(errorsOf(readSteps({ a: { ...noop, with: { x: '${{ compensates }}' } } }))).toEqual([
      'unknown_reference /steps/a/with/x',
    ]);
  });

  test('inside another step has a compensation that sees the scope of the step', () => {
    const inside = (value: string) => {
      const steps = { b: { ...noop, compensateWith: { ...noop, with: { value } } } };
      return errorsOf(readSteps({ a: { type: 'foreach', with: { items: 1, steps } } }));
    };
    expect(inside('${{ [item, index, compensates, input] }}')).toEqual([]);
    expect(inside('${{ previous }}')).toEqual([
      'unknown_reference /steps/a/with/steps/b/compensateWith/with/value',
    ]);
  });

  test('counts distinct predecessors for its join', () => {
    const needs = ['a', { step: 'a', on: 'failure' }];
    expect(errorsOf(readSteps({ a: noop, b: { ...noop, needs, join: { atLeast: 2 } } }))).toEqual([
      'invalid_join /steps/b/join',
    ]);
  });

  test('has no join on a root', () => {
    for (const join of ['all', 'any', { atLeast: 1 }])
      expect(step({ join })).toEqual(['join_on_root /steps/a/join']);
    expect(step({ needs: [], join: 'all' })).toEqual(['join_on_root /steps/a/join']);
  });

  test('has a guard that is a boolean or exactly one expression', () => {
    for (const when of [
      true,
      false,
      '${{ input.x }}',
      ' ${{ input.x }}\n',
      '${{ ({ a: { b: 1 }}) }}',
      '${{ "}}" }}',
    ]) {
      expect(step({ when })).toEqual([]);
    }
    expect(templateOf({ a: { ...noop, when: ' ${{ input.x }}\n' } }).steps[0]?.when).toBe('${{ input.x }}');
    const wrong = [
      '',
      'true',
      'input.x',
      'a ${{ 1 }}',
      '${{ 1 }} b',
      '${{ 1 }} && ${{ 2 }}',
      '${{ 1 }} + {a:{b:1}}',
      1,
      null,
      {},
    ];
    for (const when of wrong) expect(step({ when })).toEqual(['when_not_expression /steps/a/when']);
    for (const when of ['{{ input.x > 1 }}', '{{input.x > 1}}', '${input.x > 1}', 'input.x > 1'])
      expect(readSteps({ a: { ...noop, when } }).errors[0]!.message).toEndWith('such as ${{ input.x > 1 }}.');
    expect(step({ when: '${{ }}' })).toEqual(['expression_syntax /steps/a/when']);
    expect(readSteps({ a: { ...noop, when: 'input.x' } }).errors[0]?.message).toContain(
      'such as ${{ input.x }}',
    );
  });

  test('has an object of parameters', () => {
    expect(templateOf({ a: { ...noop, with: {} } }).steps[0]?.with).toEqual({});
    for (const value of [null, [], 'x', '${{ input }}', 3])
      expect(step({ with: value })).toEqual(['invalid_type /steps/a/with']);
  });

  test('has durations', () => {
    for (const [timeout, ms] of [
      ['250ms', 250],
      ['30s', 30_000],
      ['1d', 86_400_000],
      [1_500, 1_500],
    ] as const) {
      expect(templateOf({ a: { ...noop, timeout } }).steps[0]?.timeoutMs).toBe(ms);
    }
    for (const timeout of [
      '',
      'soon',
      '1',
      '1 s',
      ' 1s',
      '1.5s',
      '5x',
      '-1s',
      -1,
      0,
      '0s',
      1.5,
      null,
      true,
      '99999999d',
      1e300,
    ]) {
      expect(step({ timeout })).toEqual(['invalid_duration /steps/a/timeout']);
    }
  });

  test('has a longest silence, when its type can send heartbeats', () => {
    const own = { type: 'fragile', heartbeatTimeout: '30s' };
    expect(templateOf({ a: own }).steps[0]?.heartbeatTimeoutMs).toBe(30_000);
    expect(step({ type: 'fragile', heartbeatTimeout: 0 })).toEqual([
      'invalid_duration /steps/a/heartbeatTimeout',
    ]);
    expect(step({ heartbeatTimeout: '30s' })).toEqual(['no_heartbeats /steps/a/heartbeatTimeout']);
    expect(step({ type: 'fragile', heartbeatTimeout: '30s', timeout: '30s' })).toEqual([
      'invalid_value /steps/a/heartbeatTimeout',
    ]);
  });

  test('has a retry policy', () => {
    const retry = { limit: 3, delay: 0, backoff: 'fixed', maxDelay: '1m', jitter: false };
    expect(templateOf({ a: { ...noop, retry } }).steps[0]?.retry).toEqual({
      limit: 3,
      delayMs: 0,
      backoff: 'fixed',
      maxDelayMs: 60_000,
      jitter: false,
    });
    const wrong = { limit: -1, delay: 'x', backoff: 'linear', maxDelay: 0, jitter: 'yes', retries: 3 };
    expect(step({ retry: wrong }).sort()).toEqual([
      'invalid_duration /steps/a/retry/delay',
      'invalid_duration /steps/a/retry/maxDelay',
      'invalid_type /steps/a/retry/jitter',
      'invalid_value /steps/a/retry/backoff',
      'invalid_value /steps/a/retry/limit',
      'unknown_field /steps/a/retry/retries',
    ]);
    expect(step({ retry: { limit: '${{ input.n }}' } })).toEqual(['invalid_type /steps/a/retry/limit']);
    expect(step({ retry: 3 })).toEqual(['invalid_type /steps/a/retry']);
  });

  test('has a priority that is a whole number', () => {
    expect(templateOf({ a: { ...noop, priority: -5 } }).steps[0]?.priority).toBe(-5);
    expect(step({ priority: 1.5 })).toEqual(['invalid_value /steps/a/priority']);
    expect(step({ priority: 1e12 })).toEqual(['invalid_value /steps/a/priority']);
    expect(step({ priority: 'high' })).toEqual(['invalid_type /steps/a/priority']);
  });

  test('has limits that it shares by key', () => {
    const limits = {
      concurrency: { key: 'crm-${{ input.id }}', limit: 5 },
      rateLimit: { key: 'crm', limit: 10, per: '1s' },
    };
    expect(templateOf({ a: { ...noop, ...limits } }).steps[0]).toMatchObject({
      concurrency: { key: 'crm-${{ input.id }}', limit: 5 },
      rateLimit: { key: 'crm', limit: 10, perMs: 1_000 },
    });
    expect(step({ concurrency: {} }).sort()).toEqual([
      'missing_field /steps/a/concurrency/key',
      'missing_field /steps/a/concurrency/limit',
    ]);
    expect(step({ rateLimit: { key: '', limit: 0, per: 0, x: 1 } }).sort()).toEqual([
      'invalid_duration /steps/a/rateLimit/per',
      'invalid_value /steps/a/rateLimit/key',
      'invalid_value /steps/a/rateLimit/limit',
      'unknown_field /steps/a/rateLimit/x',
    ]);
    expect(step({ concurrency: 3, rateLimit: [] }).sort()).toEqual([
      'invalid_type /steps/a/concurrency',
      'invalid_type /steps/a/rateLimit',
    ]);
    expect(step({ concurrency: { key: '${{ 1 + }}', limit: 1 } })).toEqual([
      'expression_syntax /steps/a/concurrency/key',
    ]);
  });
});
