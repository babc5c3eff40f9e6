import { describe, expect, test } from 'bun:test';
import { errorsOf, readSteps, warningsOf } from './reading.ts';

const after = (...needs: unknown[]) => ({ type: 'noop', needs });
const reads = (expression: string, ...needs: unknown[]) => ({
  type: 'transform',
  with: { value: { x: [expression] } },
  needs,
});

describe('an expression', () => {
  test('reads any step that is upstream, over whatever edges', () => {
    const steps = {
      a: after(),
      b: after({ step: 'a', on: 'failure' }),
      c: after('b', { step: 'b', on: 'always' }),
      d: reads('${{ steps.a.output + steps["b"].error?.code + steps.c.status }}', 'c'),
    };
    expect(errorsOf(readSteps(steps))).toEqual([]);
  });

  test('does not read a step that comes later, beside it, or is itself', () => {
    const steps = {
      a: reads('${{ steps.c.output }}'),
      b: reads('${{ steps.a.output }}'),
      c: reads('${{ steps.c.output }}', 'a'),
    };
    const { errors } = readSteps(steps);
    expect(errors.map(({ code, pointer }) => `${code} ${pointer}`).sort()).toEqual([
      'not_upstream /steps/a/with/value/x/0',
      'not_upstream /steps/b/with/value/x/0',
      'not_upstream /steps/c/with/value/x/0',
    ]);
    expect(errors.find(({ pointer }) => pointer.startsWith('/steps/b'))?.message).toContain(
      'add it to "needs" of "b"',
    );
  });

  test('has no number that JavaScript would read as another', () => {
    const steps = {
      a: reads(
        '${{ [9007199254740993, -12345678901234567890.0, 0x20000000000001, 9_007_199_254_740_993, 1e400] }}',
      ),
      b: reads(
        '${{ [9007199254740992, 9007199254740993n, "9007199254740993", 0x1F, 1e23, 0.1, 1_000] && null }}',
      ),
      c: { type: 'noop', when: '${{ input.id === 9007199254740993 }}' },
    };
    const { errors } = readSteps(steps);
    const found = errors.map(({ pointer, message }) => [pointer, /number (\S+)/.exec(message)?.[1]]);
    expect(found).toEqual([
      ['/steps/a/with/value/x/0', '9007199254740993'],
      ['/steps/a/with/value/x/0', '12345678901234567890.0'],
      ['/steps/a/with/value/x/0', '0x20000000000001'],
      ['/steps/a/with/value/x/0', '9_007_199_254_740_993'],
      ['/steps/a/with/value/x/0', '1e400'],
      ['/steps/c/when', '9007199254740993'],
    ]);
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['number_not_exact']));
  });

  test('that reads a step that does not exist gets the nearest name', () => {
    const { errors } = readSteps({ reserve: after(), b: reads('${{ steps.reserv.output }}', 'reserve') });
    expect(errors).toMatchObject([{ code: 'unknown_step_reference', pointer: '/steps/b/with/value/x/0' }]);
    expect(errors[0]?.message).toContain('Did you mean "reserve"?');
  });

  test('reads inputs of direct predecessors only', () => {
    const steps = {
      a: after(),
      b: after('a'),
      c: reads('${{ inputs.b }}', 'b'),
      d: reads('${{ inputs.a }}', 'b'),
      e: reads('${{ inputs.orderId }}'),
    };
    const { errors } = readSteps(steps);
    expect(errors.map(({ code, pointer }) => `${code} ${pointer}`)).toEqual([
      'not_upstream /steps/d/with/value/x/0',
      'unknown_step_reference /steps/e/with/value/x/0',
    ]);
    expect(errors[0]?.message).toContain('steps.a.output');
    expect(errors[1]?.message).toContain('input.orderId');
  });

  test('is checked wherever it may stand: guard, parameters, cases, limits', () => {
    const bad = '${{ steps.late.output }}';
    const steps = {
      g: { type: 'noop', when: bad },
      w: { type: 'noop', with: { deep: [{ er: `text ${bad}` }] } },
      s: {
        type: 'switch',
        with: {
          cases: [
            { route: 'x', when: true },
            { route: 'y', when: bad },
          ],
        },
      },
      c: { type: 'noop', concurrency: { key: bad, limit: 1 } },
      r: { type: 'noop', rateLimit: { key: bad, limit: 1, per: '1s' } },
      late: after('g', 'w', { step: 's', route: ['x', 'y'] }),
    };
    expect(errorsOf(readSteps(steps)).sort()).toEqual([
      'not_upstream /steps/c/concurrency/key',
      'not_upstream /steps/g/when',
      'not_upstream /steps/r/rateLimit/key',
      'not_upstream /steps/s/with/cases/1/when',
      'not_upstream /steps/w/with/deep/0/er',
    ]);
  });

  test('is not looked for where the engine evaluates none', () => {
    const code = 'const deep = `${{ a: 1 }.a}`; return deep + "${{ not an expression";';
    const steps = { a: { type: 'script', with: { code, input: '${{ input.x }}' } } };
    expect(errorsOf(readSteps(steps, { description: 'with ${{ braces' }))).toEqual([]);
  });

  test('with a syntax error is reported with its place', () => {
    const steps = {
      a: reads('${{ 1 + }}'),
      b: reads('${{ if (x) {} }}'),
      c: reads('${{ input.x'),
      d: reads('${{ foo.bar }}'),
    };
    expect(errorsOf(readSteps(steps))).toEqual([
      'expression_syntax /steps/a/with/value/x/0',
      'expression_syntax /steps/b/with/value/x/0',
      'expression_syntax /steps/c/with/value/x/0',
      'unknown_reference /steps/d/with/value/x/0',
    ]);
  });

  test('in a knot of cycles or behind a broken need is not judged', () => {
    const steps = {
      a: reads('${{ steps.b.output }}', 'b'),
      b: reads('${{ steps.a.output }}', 'a'),
      c: reads('${{ steps.b.output }}', 'a'),
    };
    expect(errorsOf(readSteps(steps))).toEqual(['cycle /steps/a/needs']);
    const broken = { a: after(), b: reads('${{ steps.a.output }}', 'aaa') };
    expect(errorsOf(readSteps(broken))).toEqual(['unknown_need /steps/b/needs/0']);
  });
});

describe('a name below a root', () => {
  const places = (expression: string) => ({
    g: { type: 'noop', when: expression },
    w: { type: 'noop', with: { deep: [{ er: `text ${expression}` }] } },
    s: { type: 'switch', with: { cases: [{ route: 'x', when: expression }] } },
    c: { type: 'noop', concurrency: { key: expression, limit: 1 } },
    r: { type: 'noop', rateLimit: { key: expression, limit: 1, per: '1s' } },
    after: after('g', 'w', { step: 's', route: 'x' }),
  });
  const pointers = [
    '/output/a',
    '/steps/c/concurrency/key',
    '/steps/g/when',
    '/steps/r/rateLimit/key',
    '/steps/s/with/cases/0/when',
    '/steps/w/with/deep/0/er',
  ];

  test('of secrets or vars that is not there is a warning wherever it stands', () => {
    for (const [source, code] of [
      ['secrets.NOPE', 'secret_missing'],
      ['secrets["NOPE"] + 1', 'secret_missing'],
      ['[secrets].map(() => secrets.NOPE)', 'secret_missing'],
      ['vars.x?.y', 'variable_missing'],
    ] as const) {
      const result = readSteps(places(`\${{ ${source} }}`), { output: { a: `\${{ ${source} }}` } });
      expect(errorsOf(result)).toEqual([]);
      expect(warningsOf(result).sort()).toEqual(pointers.map((pointer) => `${code} ${pointer}`));
    }
  });

  test('of execution that it does not have is an error wherever it stands', () => {
    const result = readSteps(places('${{ execution.ide }}'), { output: { a: '${{ execution["ide"] }}' } });
    expect(errorsOf(result).sort()).toEqual(pointers.map((pointer) => `unknown_reference ${pointer}`));
    expect(result.errors[0]?.message).toContain('Did you mean "id"?');
  });

  test('that is there, or that only a run can tell, is neither', () => {
    for (const source of [
      'secrets.TOKEN',
      'secrets[input.k]',
      'secrets.toString',
      'Object.keys(secrets)',
      'execution.id + execution["template"] + execution.version.toFixed()',
      'execution[input.k]',
      'execution.hasOwnProperty',
      '((secrets) => secrets.NOPE)({})',
    ]) {
      const result = readSteps(places(`\${{ ${source} }}`), { output: { a: `\${{ ${source} }}` } });
      expect([errorsOf(result), warningsOf(result)]).toEqual([[], []]);
    }
  });
});

describe('the output of a definition', () => {
  test('reads every step', () => {
    const steps = { a: after(), b: after() };
    const output = { a: '${{ steps.a.output }}', list: ['${{ steps.b.status }}', '${{ input.x }}'] };
    expect(errorsOf(readSteps(steps, { output }))).toEqual([]);
  });

  test('reads no unknown step and no inputs', () => {
    const output = { a: '${{ steps.zz.output }}', b: ['${{ inputs.a }}'], c: '${{ 1 + }}' };
    expect(errorsOf(readSteps({ a: after() }, { output })).sort()).toEqual([
      'expression_syntax /output/c',
      'unknown_reference /output/b/0',
      'unknown_step_reference /output/a',
    ]);
  });
});
