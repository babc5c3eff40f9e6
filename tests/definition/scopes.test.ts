/**
 * Steps inside steps: every check reaches them, and names the place.
 */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { JsonObject } from '../../core/json/json.ts';
import { buildStored, judgeStored, readDefinition } from '../../definition/definition.ts';
import { cases } from '../support/core/cases.ts';
import { errorsOf, warningsOf, withHolders } from './reading.ts';

const noop = { type: 'noop' };
const after = (...needs: unknown[]) => ({ type: 'noop', needs });
const value = (expression: string, ...needs: unknown[]) => ({
  type: 'transform',
  with: { value: expression },
  needs,
});
const each = (steps: unknown, more: object = {}, ...needs: unknown[]) => ({
  type: 'each',
  with: { items: [1], steps, ...more },
  needs,
});
const again = (steps: unknown, more: object = {}) => ({ type: 'again', with: { steps, ...more } });

function read(steps: unknown, header: object = {}) {
  return readDefinition({ name: 'order', ...header, steps }, withHolders);
}

/** The steps inside scopes inside each other, as many as levels. */
function nest(levels: number, steps: unknown): unknown {
  let inner = steps;
  for (let level = 0; level < levels; level++) inner = { each: each(inner) };
  return inner;
}

describe('the steps of a scope', () => {
  const at = '/steps/hold/with/steps';

  test.each<[string, unknown, string[]]>([
    ['with an unknown field', { a: { ...noop, nope: 1 } }, [`unknown_field ${at}/a/nope`]],
    ['with an unknown type', { a: { type: 'nope' } }, [`unknown_step_type ${at}/a/type`]],
    ['with a key that is none', { '1': noop }, [`invalid_key ${at}/1`]],
    ['that are no object', [noop], [`invalid_type ${at}`]],
    ['of which there are none', {}, [`no_steps ${at}`]],
    ['one of which is no object', { a: 1 }, [`invalid_type ${at}/a`]],
    ['with a wrong policy', { a: { ...noop, retry: { limit: -1 } } }, [`invalid_value ${at}/a/retry/limit`]],
    ['with a wrong duration', { a: { ...noop, timeout: 'soon' } }, [`invalid_duration ${at}/a/timeout`]],
    ['that need an unknown one', { a: after('b') }, [`unknown_need ${at}/a/needs/0`]],
    ['that need one outside', { a: after('first') }, [`unknown_need ${at}/a/needs/0`]],
    ['that need their holder', { a: after('hold') }, [`unknown_need ${at}/a/needs/0`]],
    ['that need themselves', { a: after('a') }, [`self_need ${at}/a/needs/0`]],
    ['in a cycle', { a: after('b'), b: after('a') }, [`cycle ${at}/a/needs`]],
    [
      'with a route that there is not',
      {
        s: { type: 'switch', with: { cases: [{ route: 'x', when: true }] } },
        a: after({ step: 's', route: 'y' }),
      },
      [`unknown_route ${at}/a/needs/0/route`, `unreachable_step ${at}/a/needs`],
    ],
    [
      'that are never together',
      {
        s: { type: 'switch', with: { cases: [{ route: 'x', when: true }], default: 'y' } },
        x: after({ step: 's', route: 'x' }),
        y: after({ step: 's', route: 'y' }),
        a: { ...after('x', 'y'), join: { atLeast: 2 } },
      },
      [`impossible_join ${at}/a/join`],
    ],
    [
      'with wrong parameters',
      { a: { type: 'delay', with: { fro: '1s' } } },
      [`invalid_params ${at}/a/with/fro`],
    ],
    [
      'with parameters that always fail',
      { a: { type: 'delay', with: { until: '2027-02-30' } } },
      [`invalid_params ${at}/a/with/until`],
    ],
    ['with a syntax error', { a: value('${{ 1 + }}') }, [`expression_syntax ${at}/a/with/value`]],
    ['with a guard that is text', { a: { ...noop, when: 'yes' } }, [`when_not_expression ${at}/a/when`]],
    [
      'that read an unknown step',
      { a: value('${{ steps.b.output }}') },
      [`unknown_step_reference ${at}/a/with/value`],
    ],
    [
      'that read a later one',
      { a: value('${{ steps.b.output }}'), b: noop },
      [`not_upstream ${at}/a/with/value`],
    ],
    [
      'that read a number which is not exact',
      { a: value('${{ 9007199254740993 }}') },
      [`number_not_exact ${at}/a/with/value`],
    ],
    [
      'that read what an execution has not',
      { a: value('${{ execution.nope }}') },
      [`unknown_reference ${at}/a/with/value`],
    ],
  ])('%s are refused at their place', (_, steps, errors) => {
    const document = { first: noop, hold: each(steps, {}, 'first') };
    expect(errorsOf(read(document)).sort()).toEqual(errors.sort());
    const inner = { first: noop, outer: each(document) };
    const shifted = errors.map((error) => error.replace(' /steps', ' /steps/outer/with/steps'));
    expect(errorsOf(read(inner)).sort()).toEqual(shifted.sort());
  });

  test('get the warnings of all steps', () => {
    const steps = {
      s: { type: 'switch', with: { cases: [{ route: 'x', when: true }] } },
      a: value('{{ item }}'),
      b: value('${{ secrets.NOPE }}'),
    };
    const agent = { type: 'tools', with: { tools: [{ name: '{{ input.x }}', steps: { c: noop } }] } };
    expect(warningsOf(read({ hold: each(steps, { output: '{{ item }}' }), agent })).sort()).toEqual([
      'literal_expression /steps/agent/with/tools/0/name',
      'literal_expression /steps/hold/with/output',
      `literal_expression ${at}/a/with/value`,
      `secret_missing ${at}/b/with/value`,
      `unused_route ${at}/s/with`,
    ]);
  });

  test('become scopes of the template, with their outputs and names', () => {
    const { template, errors } = read({
      hold: each({ a: noop, b: again({ c: noop }) }, { output: '${{ steps.a.output }}' }),
      agent: { type: 'tools', with: { tools: [{ steps: { x: noop } }, {}, { steps: { y: noop } }] } },
    });
    expect(errors).toEqual([]);
    const [hold, agent] = template!.steps;
    expect(hold!.scopes).toMatchObject([
      {
        pointer: '/steps',
        names: ['item', 'index'],
        ownInput: false,
        output: '${{ steps.a.output }}',
        steps: [
          { key: 'a', scopes: [] },
          { key: 'b', scopes: [{ names: ['iteration', 'previous'], output: undefined }] },
        ],
      },
    ]);
    expect(agent!.scopes).toMatchObject([
      { pointer: '/tools/0/steps', ownInput: true, steps: [{ key: 'x' }] },
      { pointer: '/tools/2/steps', ownInput: true, steps: [{ key: 'y' }] },
    ]);
  });

  test('are not parameters of their holder', () => {
    const steps = { a: value('${{ item }}') };
    expect(errorsOf(read({ hold: each(steps, { concurrency: 'x' }) }))).toEqual([
      'invalid_params /steps/hold/with/concurrency',
    ]);
    expect(errorsOf(read({ hold: { type: 'each', with: { steps } } }))).toEqual([
      'invalid_params /steps/hold/with/items',
    ]);
  });

  test('are written down, and no expression makes them', () => {
    const computed = '${{ input.steps }}';
    expect(errorsOf(read({ hold: each(computed) }))).toEqual([`invalid_type ${at}`]);
    expect(errorsOf(read({ a: { type: 'tools', with: { tools: computed } } }))).toEqual([
      'invalid_params /steps/a/with/tools',
    ]);
    expect(errorsOf(read({ a: { type: 'tools', with: { tools: [computed] } } }))).toEqual([
      'invalid_params /steps/a/with/tools/0',
    ]);
  });

  test('of a step whose type is not known are left alone', () => {
    const steps = { a: noop, b: value('${{ steps.a.output + item }}', 'a') };
    expect(errorsOf(read({ hold: { ...each(steps), type: 'ech' } }))).toEqual([
      'unknown_step_type /steps/hold/type',
    ]);
  });
});

describe('an expression inside a scope', () => {
  const reads = (expression: string, more: object = {}) => ({
    first: noop,
    hold: each({ a: noop, b: value(expression, 'a'), ...more }, {}, 'first'),
    late: after('hold'),
  });
  const place = '/steps/hold/with/steps/b/with/value';

  test.each(['steps.a.output', 'steps.first.output', 'inputs.a', 'item + index', 'input.x'])(
    'reads %s',
    (name) => {
      expect(errorsOf(read(reads(`\${{ ${name} }}`)))).toEqual([]);
    },
  );

  test.each([
    ['steps.late.output', 'not_upstream', '"late" does not run before "hold", which holds this step'],
    ['steps.hold.output', 'not_upstream', '"hold" holds this step'],
    ['steps.b.output', 'not_upstream', 'refers to itself'],
    ['steps.firts.output', 'unknown_step_reference', 'Did you mean "first"?'],
    ['inputs.first', 'not_upstream', 'Read steps.first.output: "first" is outside'],
    ['inputs.b', 'not_upstream', 'add "b" to "needs"'],
    ['inputs.x', 'unknown_step_reference', 'input.x'],
    ['iteration', 'unknown_reference', 'only steps inside a step of type again or loop know it'],
    ['previous?.x', 'unknown_reference', '"previous" has no value here'],
  ])('does not read %s', (name, code, message) => {
    const { errors } = read(reads(`\${{ ${name} }}`));
    expect(errors).toMatchObject([{ code, pointer: place }]);
    expect(errors[0]!.message).toContain(message);
  });

  test('means the nearest step of a key', () => {
    const nearest = reads('${{ steps.first.output }}', { first: after('b') });
    expect(errorsOf(read(nearest))).toEqual([`not_upstream ${place}`]);
    expect(errorsOf(read(reads('${{ steps.late.output }}', { late: noop })))).toEqual([
      `not_upstream ${place}`,
    ]);
    const upstream = { late: noop, b: value('${{ steps.late.output }}', 'late') };
    expect(errorsOf(read({ hold: each(upstream), late: after('hold') }))).toEqual([]);
  });

  test('reads what is upstream of each holder around it, and names of each', () => {
    const deep = (expression: string) => ({
      top: noop,
      outer: each({ mid: noop, inner: { ...again({ x: value(expression) }), needs: ['mid'] } }, {}, 'top'),
      beside: noop,
    });
    const all = '${{ [steps.top.status, steps.mid.status, item, index, iteration, previous] }}';
    expect(errorsOf(read(deep(all)))).toEqual([]);
    for (const name of ['beside', 'outer', 'inner']) {
      expect(errorsOf(read(deep(`\${{ steps.${name}.output }}`)))).toEqual([
        'not_upstream /steps/outer/with/steps/inner/with/steps/x/with/value',
      ]);
    }
  });

  test('is checked wherever it may stand: guard, parameters, cases, limits, output', () => {
    const bad = '${{ steps.late.output }}';
    const steps = {
      g: { type: 'noop', when: bad },
      s: { type: 'switch', with: { cases: [{ route: 'y', when: bad }] } },
      c: { type: 'noop', concurrency: { key: bad, limit: 1 } },
      r: { type: 'noop', rateLimit: { key: bad, limit: 1, per: '1s' } },
    };
    const document = { hold: each(steps, { output: { x: bad } }), late: after('hold') };
    expect(errorsOf(read(document)).sort()).toEqual(
      [
        '/steps/hold/with/output/x',
        '/steps/hold/with/steps/c/concurrency/key',
        '/steps/hold/with/steps/g/when',
        '/steps/hold/with/steps/r/rateLimit/key',
        '/steps/hold/with/steps/s/with/cases/0/when',
      ].map((pointer) => `not_upstream ${pointer}`),
    );
  });
});

describe('beside the steps of a scope', () => {
  test('its output reads every step of it, and no inputs', () => {
    const steps = { a: noop, b: noop };
    const good = { x: '${{ steps.a.output }}', y: ['${{ steps.b.output + item }}'] };
    expect(errorsOf(read({ hold: each(steps, { output: good }) }))).toEqual([]);
    const bad = { x: '${{ steps.c.output }}', y: ['${{ inputs.a }}'], z: '${{ iteration }}' };
    expect(errorsOf(read({ hold: each(steps, { output: bad }) })).sort()).toEqual([
      'unknown_reference /steps/hold/with/output/y/0',
      'unknown_reference /steps/hold/with/output/z',
      'unknown_step_reference /steps/hold/with/output/x',
    ]);
  });

  test('parameters for each run know its names, and not its steps', () => {
    const steps = { a: noop };
    const first = { first: noop };
    const inputs = (expression: string) => ({
      ...first,
      hold: each(steps, { inputs: { deep: [expression] } }, 'first'),
    });
    expect(errorsOf(read(inputs('${{ [item, index, steps.first.output, inputs.first] }}')))).toEqual([]);
    expect(errorsOf(read(inputs('${{ steps.a.output }}')))).toEqual([
      'unknown_step_reference /steps/hold/with/inputs/deep/0',
    ]);
    expect(errorsOf(read({ hold: again(steps, { while: '${{ iteration < 3 && !item }}' }) }))).toEqual([
      'unknown_reference /steps/hold/with/while',
    ]);
  });

  test('other parameters do not know its names', () => {
    const { errors } = read({ hold: { type: 'each', with: { items: '${{ item }}', steps: { a: noop } } } });
    expect(errors).toMatchObject([{ code: 'unknown_reference', pointer: '/steps/hold/with/items' }]);
    expect(errors[0]!.message).toMatch(/only steps inside a step of type each( or \w+)* know it/);
  });
});

describe('a definition and the same steps in a scope', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const expression = fc.constantFrom(
    '${{ steps.a.output }}',
    '${{ steps.b.error?.code }}',
    '${{ inputs.c }}',
    '${{ steps.nope.output }}',
    '${{ iteration }}',
    '${{ execution.nope + vars.x }}',
    '${{ 1 + }}',
    '{{ input.x }}',
    'plain',
  );
  const need = fc.oneof(
    key,
    fc.constantFrom('nope', 7),
    fc.record({ step: key, on: fc.constantFrom('success', 'failure', 'never') }),
    fc.record({ step: key, route: fc.constantFrom('x', 'y', 'z') }),
  );
  const step = fc.record(
    {
      type: fc.constantFrom('noop', 'transform', 'switch', 'delay', 'nope'),
      needs: fc.oneof(fc.array(need, { maxLength: 3 }), need),
      join: fc.constantFrom('all', 'any', 'some', { atLeast: 1 }, { atLeast: 2 }),
      when: fc.oneof(expression, fc.boolean()),
      with: fc.oneof(
        fc.record({ value: expression }),
        fc.record({ cases: fc.array(fc.record({ route: fc.constantFrom('x', 'y'), when: expression })) }),
        fc.constantFrom({ for: '1s' }, { until: 'never' }, 'text'),
      ),
      retry: fc.constantFrom({ limit: 1 }, { limit: -1 }, { limits: 1 }, 3),
      timeout: fc.constantFrom('1s', 'soon'),
      concurrency: fc.record({ key: expression, limit: fc.constantFrom(0, 1) }),
      other: fc.constant(1),
    },
    { requiredKeys: ['type'] },
  );
  const steps = fc.dictionary(
    fc.oneof(key, fc.constant('1x')),
    fc.oneof({ weight: 9, arbitrary: step }, fc.constant(null)),
    {
      minKeys: 1,
    },
  );
  const output = fc.option(fc.oneof(expression, fc.array(expression)), { nil: undefined });

  test.each([1, 3])('has the same problems, %p deep', (levels) => {
    const below = '/hold-all-of-these/with/steps'.repeat(levels);
    const shifted = (pointer: string) =>
      pointer.startsWith('/output')
        ? `/steps${below.slice(0, -'/steps'.length)}${pointer}`
        : pointer.replace('/steps', `/steps${below}`);
    const lines = (problems: readonly { pointer: string; code: string; message: string }[]) =>
      problems.map(({ pointer, code, message }) => `${pointer} ${code} ${message}`).sort();

    const property = fc.property(steps, output, (drawn, drawnOutput) => {
      const ends = drawnOutput === undefined ? {} : { output: drawnOutput };
      let inner: object = { 'hold-all-of-these': again(drawn, ends) };
      for (let level = 1; level < levels; level++) inner = { 'hold-all-of-these': each(inner) };
      const flat = read(drawn, ends);
      const nested = read(inner);
      const moved = (problems: typeof flat.errors) =>
        lines(problems.map((problem) => ({ ...problem, pointer: shifted(problem.pointer) })));
      // A name that the scope knows is no problem inside it.
      const known = ({ message }: { message: string }) => message.startsWith('"iteration" has no value');
      expect(lines(nested.errors)).toEqual(moved(flat.errors.filter((problem) => !known(problem))));
      expect(lines(nested.warnings)).toEqual(moved(flat.warnings));
    });
    fc.assert(property, cases(500));
  });
});

describe('steps inside steps', () => {
  test('may be 16 deep', () => {
    expect(errorsOf(read(nest(16, { a: noop })))).toEqual([]);
    const { errors } = read(nest(17, { a: { nope: true } }));
    expect(errors).toMatchObject([
      { code: 'scope_too_deep', pointer: `/steps${'/each/with/steps'.repeat(17)}` },
    ]);
    expect(errors[0]!.message).toContain('more than 16');
  });

  test('count as steps of the definition', () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`s${at}`, noop]));
    const { s0: _, ...fewer } = many;
    expect(errorsOf(read({ ...fewer, hold: each(many) }))).toEqual([]);
    const { errors } = read({ ...many, hold: each(many) });
    expect(errors).toMatchObject([{ code: 'too_many_steps', pointer: '/steps' }]);
    expect(errors[0]!.message).toContain('10001 steps, with those inside other steps');
  });

  test('are read in time, however they are nested', () => {
    const deep = nest(250, { a: noop });
    expect(
      errorsOf(
        readDefinition(
          { name: 'a', steps: deep },
          {
            ...withHolders,
            limits: { ...withHolders.limits, maxDepth: 2_000 },
          },
        ),
      ),
    ).toEqual([`scope_too_deep /steps${'/each/with/steps'.repeat(17)}`]);
    const wide = Array.from({ length: 9_000 }, () => ({ steps: { a: noop } }));
    expect(errorsOf(read({ agent: { type: 'tools', with: { tools: wide } } }))).toEqual([]);
    const chains = Object.fromEntries(
      Array.from({ length: 300 }, (_, at) => [
        `h${at}`,
        each(
          Object.fromEntries(
            Array.from({ length: 30 }, (_, no) => [
              `s${no}`,
              {
                ...value(`\${{ steps.h${at - 1}.output }}`, ...(no === 0 ? [] : [`s${no - 1}`])),
              },
            ]),
          ),
          {},
          ...(at === 0 ? [] : [`h${at - 1}`]),
        ),
      ]),
    );
    expect(errorsOf(read({ ...chains, 'h-1': noop })).every((error) => error.includes('/h0/'))).toBe(true);
  });

  test('are searched for ways to start with one bound for all of them', () => {
    const choices = Object.fromEntries(
      Array.from({ length: 12 }, (_, at) => [
        `c${at}`,
        { type: 'switch', with: { cases: [{ route: 'x', when: '${{ input.x }}' }], default: 'y' } },
      ]),
    );
    const join = (no: number) => ({
      ...after(...Object.keys(choices).map((step, at) => ({ step, route: (at + no) % 2 === 0 ? 'x' : 'y' }))),
      join: { atLeast: 12 },
    });
    const joins = Object.fromEntries(Array.from({ length: 12 }, (_, no) => [`j${no}`, join(no)]));
    const last = { ...after(...Object.keys(joins)), join: { atLeast: 12 } };
    const scope = { ...choices, ...joins, last };
    const tools = Array.from({ length: 300 }, () => ({ steps: scope }));
    expect(errorsOf(read({ agent: { type: 'tools', with: { tools } } })).length).toBeGreaterThan(0);
  });
});

describe('a stored definition with steps inside steps', () => {
  const definition = (steps: object): JsonObject => ({ name: 'order', steps }) as JsonObject;
  const judged = (steps: object) => {
    const { errors, faults } = judgeStored(definition(steps), withHolders);
    return { errors: errors.map(({ code }) => code), faults: Object.keys(faults) };
  };

  test('of which nothing is wrong is built as it was published', () => {
    const document = definition({
      first: noop,
      hold: each(
        { a: noop, b: { ...again({ c: value('${{ steps.a.output }}') }), needs: ['a'] } },
        { output: 1 },
        'first',
      ),
    });
    const building = buildStored(document, withHolders);
    let built = building.next();
    let pauses = 0;
    for (; built.done !== true; built = building.next()) pauses += 1;
    expect(pauses).toBe(5);
    expect(built.value).toEqual(readDefinition(document, withHolders).template!);
    expect(judged(document.steps as object)).toEqual({ errors: [], faults: [] });
  });

  test('names a fault by the path of the step that cannot be run', () => {
    const steps = { a: { type: 'nope' }, b: again({ c: value('${{ 1 + }}') }) };
    const agent = {
      type: 'tools',
      with: { tools: [{ steps: { x: noop } }, { steps: { x: { type: 'nope' } } }] },
    };
    expect(judged({ hold: each(steps), agent })).toEqual({
      errors: [],
      faults: ['hold/a', 'agent/1/x', 'hold/b/c'],
    });
  });

  test('has faults of a holder in what belongs to no step inside it', () => {
    expect(judged({ hold: each({}), other: each({ a: noop }, { output: '${{ 1 + }}' }) }).faults).toEqual([
      'hold',
      'other',
    ]);
  });

  test('is not understood when the shape of a step inside is not known', () => {
    expect(judged({ hold: each({ a: { ...noop, later: true } }) })).toEqual({
      errors: ['unknown_field'],
      faults: [],
    });
  });

  test('is not held to the nesting of now', () => {
    expect(judged(nest(20, { a: noop }) as object)).toEqual({ errors: [], faults: [] });
  });
});
