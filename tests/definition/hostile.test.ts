import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../support/core/cases.ts';
import { context, errorsOf, read, readSteps, stepTypes } from './reading.ts';

const SIZE = 10_000;

/** Ten thousand steps `s0`, `s1` and so on. */
function many(step: (at: number) => unknown): Record<string, unknown> {
  return Object.fromEntries(Array.from({ length: SIZE }, (_, at) => [`s${at}`, step(at)]));
}

const before = (at: number) => (at === 0 ? [] : [`s${at - 1}`]);

describe('a text of a million characters', () => {
  const texts = [
    '{',
    '{{',
    '{{ ',
    '${{',
    '${{ ',
    '}}',
    '${',
    '{{ input',
    `{{${' '.repeat(999)}`,
    '${{ "}}" }} {{ ',
  ];

  test.each(texts)('of %p is read in time', (piece) => {
    const text = piece.repeat(Math.floor(1_000_000 / piece.length));
    const steps = {
      a: { type: 'noop', with: { text } },
      b: { type: 'http', with: { url: text, headers: { a: text } } },
      c: { type: 'script', with: { code: text } },
      d: { type: 'delay', with: { until: text } },
    };
    expect(readSteps(steps).template).toBeNull();
  });
});

describe('a definition of ten thousand steps', () => {
  test('is read as a chain that refers far back', () => {
    const value = (at: number) => (at === 0 ? 1 : `\${{ steps.s${at >> 1}.output }}`);
    const { template, errors } = readSteps(
      many((at) => ({ type: 'transform', with: { value: value(at) }, needs: before(at) })),
    );
    expect(errors).toEqual([]);
    expect(template?.steps).toHaveLength(SIZE);
  });

  test('is read as a fan out and in', () => {
    const last = {
      type: 'merge',
      needs: Array.from({ length: SIZE - 2 }, (_, at) => `s${at + 1}`),
      join: { atLeast: 5_000 },
    };
    const steps = many((at) => ({ type: 'noop', needs: at === 0 ? [] : ['s0'] }));
    expect(errorsOf(readSteps({ ...steps, [`s${SIZE - 1}`]: last }))).toEqual([]);
  });

  test('is read as a chain of choices', () => {
    const choice = { cases: [{ route: 'a', when: '${{ input.x }}' }], default: 'b' };
    const steps = many((at) => {
      if (at % 2 === 1) return { type: 'noop', needs: [{ step: `s${at - 1}`, route: 'a' }] };
      const needs = at === 0 ? [] : [`s${at - 1}`, { step: `s${at - 2}`, route: 'b' }];
      return { type: 'switch', with: choice, needs };
    });
    expect(errorsOf(readSteps(steps))).toEqual([]);
  });

  test('that is one cycle is refused with a message that can be read', () => {
    const { errors } = readSteps(many((at) => ({ type: 'noop', needs: [`s${(at + SIZE - 1) % SIZE}`] })));
    expect(errors).toMatchObject([{ code: 'cycle', pointer: '/steps/s0/needs' }]);
    expect(errors[0]?.message).toContain('s0 -> s1 -> ');
    expect(errors[0]?.message).toContain('-> s9999 -> s0.');
    expect(errors[0]?.message.length).toBeLessThan(1_000);
  });

  test('that is wrong everywhere reports the first thousand problems and counts the rest', () => {
    const { errors } = readSteps(many((at) => ({ type: 'noop', needs: [`t${at}`] })));
    expect(errors).toHaveLength(1_001);
    expect(errors[1_000]).toMatchObject({ code: 'too_many_problems' });
    expect(errors[1_000]?.message).toStartWith('9000 more');
  });

  test('and one more is refused', () => {
    const steps = { ...many(() => ({ type: 'noop' })), last: { type: 'noop' } };
    const { errors } = readSteps(steps);
    expect(errors).toMatchObject([{ code: 'too_many_steps', pointer: '/steps' }]);
    expect(errors[0]?.message).toContain('10001');
    expect(
      errorsOf(
        read({ name: 'a', steps: { a: { type: 'noop' } } }, { limits: { ...context.limits, maxSteps: 0 } }),
      ),
    ).toEqual(['too_many_steps /steps']);
  });
});

test('one step with ten thousand entries for the same predecessor is one edge', () => {
  const needs = Array.from({ length: SIZE }, (_, at) => ({
    step: 'a',
    on: at % 2 === 0 ? 'success' : 'failure',
  }));
  const { template } = readSteps({ a: { type: 'noop' }, b: { type: 'noop', needs } });
  expect(template?.steps[1]).toMatchObject({ needsCount: SIZE });
  expect(template?.steps[1]?.edges).toHaveLength(1);
});

/** Values of all kinds, many of them almost right. */
function garbage(): fc.Arbitrary<unknown> {
  const words = [
    'a',
    'b',
    'constructor',
    '__proto__',
    'all',
    'any',
    'success',
    'failure',
    '1s',
    '${{ steps.a.output }}',
    '${{',
    '${{ x }} y',
    '',
    'x',
    ...stepTypes.keys(),
  ];
  const names = [
    'name',
    'steps',
    'input',
    'output',
    'timeout',
    'type',
    'needs',
    'join',
    'when',
    'with',
    'retry',
    'priority',
    'concurrency',
    'rateLimit',
    'step',
    'on',
    'route',
    'cases',
    'default',
    'key',
    'limit',
    'per',
    'atLeast',
    'a',
    'b',
    '__proto__',
    'toString',
  ];
  const scalar = fc.oneof(
    fc.constantFrom(...words),
    fc.constantFrom(0, 1, -1, 1.5, Number.NaN, 1e300),
    fc.boolean(),
    fc.constant(null),
    fc.constant(undefined),
    fc.anything(),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, depthSize: 'medium' },
      scalar,
      fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: 6 }),
      fc.array(tie('value'), { maxLength: 4 }),
    ),
  }));
  return value;
}

describe('random garbage', () => {
  test('never throws, and has errors or a template', () => {
    const property = fc.property(garbage(), garbage(), garbage(), (document, step, extra) => {
      const wrapped = {
        name: 'a',
        steps: { a: step, b: extra, c: { type: 'noop', needs: ['a', extra], with: step } },
      };
      for (const sample of [document, wrapped, { name: 'a', output: extra, input: step, steps: document }]) {
        const { template, errors } = read(sample);
        expect(template === null).toBe(errors.length > 0);
        for (const problem of errors) {
          expect(problem.code).toMatch(/^[a-z_]+$/);
          expect(problem.pointer).toMatch(/^(\/.*)?$/s);
          expect(problem.message).not.toContain('[object Object]');
        }
      }
    });
    fc.assert(property, cases(300));
  });
});
