import { expect, test } from 'bun:test';
import { constantOf, memberOf } from './compiled.ts';
import { compileValue, expressionChecker } from './compiled-value.ts';
import { compileCondition } from './condition.ts';

const problemsOf = (expression: string): string[] =>
  compileValue(`\${{ ${expression} }}`).problems.map(({ code }) => code);
const messageOf = (expression: string): string =>
  compileValue(`\${{ ${expression} }}`).problems[0]?.message ?? '';

test('references to steps are collected with their pointer and property', () => {
  const compiled = compileValue({
    a: '${{ steps.one.output.x + steps["two-b"].status }}',
    'b/c': ['${{ steps?.three?.error }}', '${{ steps[`four`] }}'],
  });
  expect(compiled.problems).toEqual([]);
  expect(compiled.stepReferences).toEqual([
    { key: 'one', pointer: '/a', property: 'output' },
    { key: 'two-b', pointer: '/a', property: 'status' },
    { key: 'three', pointer: '/b~1c/0', property: 'error' },
    { key: 'four', pointer: '/b~1c/1', property: null },
  ]);
  expect(compiled.dynamicSteps).toBe(false);
});

test('steps used without a static key are dynamic', () => {
  for (const use of [
    'steps[input.k]',
    'Object.keys(steps)',
    '[steps].map(s => s.a)',
    '{...steps}',
    'steps.hasOwnProperty("a")',
  ]) {
    const compiled = compileValue(`\${{ ${use} }}`);
    expect({ use, dynamic: compiled.dynamicSteps, found: compiled.problems }).toEqual({
      use,
      dynamic: true,
      found: [],
    });
  }
});

test('a parameter of a function hides the root of the same name', () => {
  const compiled = compileValue('${{ input.list.map(steps => steps.a).filter(({ inputs }) => inputs.b) }}');
  expect(compiled.stepReferences).toEqual([]);
  expect(compiled.inputReferences).toEqual([]);
  expect([...compiled.roots]).toEqual(['input']);
});

test('references to inputs are collected, and dynamic ones are told', () => {
  const compiled = compileValue(['${{ inputs.a.b }}', '${{ inputs[index] }}']);
  expect(compiled.inputReferences).toEqual([{ key: 'a', pointer: '/0' }]);
  expect(compiled.dynamicInputs).toBe(true);
  expect([...compiled.roots].sort()).toEqual(['index', 'inputs']);
});

test('an unknown name is a problem that names the nearest one', () => {
  expect(problemsOf('imput.a')).toEqual(['unknown_reference']);
  expect(messageOf('imput.a')).toContain('"input"');
  expect(messageOf('steps.my-step.output')).toContain('steps["my-step"]');
  expect(messageOf('steps.a.outptu')).toContain('"output"');
  for (const name of [
    'process',
    'globalThis',
    'require("fs")',
    'eval("1")',
    'Function("1")',
    'arguments',
    'console',
    'fetch',
  ])
    expect({ name, codes: problemsOf(name) }).toEqual({ name, codes: ['unknown_reference'] });
});

test('globals of the sandbox and names bound inside are known', () => {
  const known = [
    'Math.max(1, 2)',
    'input.a.map((x, { y, ...z }) => [x, y, z])',
    'input.a.reduce((all, { k, v }) => { all[k] = v; return all; }, {})',
    '(() => { let n = 0; for (const x of input.a) n += x; try { n++ } catch (e) { throw e } return n })()',
    '(function f(n) { return n < 2 ? n : f(n - 1) + arguments.length })(5)',
  ];
  for (const expression of known)
    expect({ expression, codes: problemsOf(expression) }).toEqual({ expression, codes: [] });
});

test('what changes the scope, waits or imports is refused', () => {
  const refused = [
    'input.a = 1',
    'input.a++',
    'delete input.a',
    'x = 1',
    '[1].map(x => input.a = x)',
    '[1].map(x => { for (input.a of [x]); })',
    'await input',
    'import("fs")',
    'import.meta',
    '(async () => 1)()',
    '(function* () { yield 1 })()',
    'this',
    'new.target',
    '(function () { return new.target })()',
    'class {}',
  ];
  for (const expression of refused) {
    expect({ expression, code: problemsOf(expression)[0] }).toEqual({
      expression,
      code: 'expression_syntax',
    });
  }
  expect(messageOf('input.a = 1')).toContain('===');
});

test('every problem of a value is reported with its pointer', () => {
  const { problems } = compileValue({ a: '${{ input. }}', b: [{ c: '${{ nope }}' }], d: 'fine' });
  expect(problems.map(({ pointer, code }) => [pointer, code])).toEqual([
    ['/a', 'expression_syntax'],
    ['/b/0/c', 'unknown_reference'],
  ]);
  expect(problems[0]!.message).toContain('character');
});

test('deferred pointers are left out, and may be checked on their own', () => {
  const value = {
    cases: [
      { route: 'a', when: '${{ broken. }}' },
      { route: '${{ steps.b.output }}', when: '${{ steps.c.output }}' },
    ],
  };
  const use = expressionChecker.check(value, ['/cases/*/when']);
  expect(use.problems).toEqual([]);
  expect(use.stepReferences).toEqual([{ key: 'b', pointer: '/cases/1/route' }]);
  expect(expressionChecker.check(value.cases[1]!.when).stepReferences).toEqual([{ key: 'c', pointer: '' }]);
  expect(expressionChecker.check(value).problems).toHaveLength(1);
});

test('a value nested without end is a problem and not a crash', () => {
  const deep = JSON.parse(`${'['.repeat(5000)}"\${{ 1 }}"${']'.repeat(5000)}`);
  expect(compileValue(deep).problems[0]!.message).toContain('512 levels');
  expect(problemsOf(`${'!'.repeat(1000)}1`)).toEqual(['expression_syntax']);
});

test('a value without expressions is constant', () => {
  expect(compileValue({ a: ['x', 1, null] }).constant).toBe(true);
  expect(compileValue({ a: ['${{ 1 }}'] }).constant).toBe(false);
});

test('a condition is a boolean or exactly one expression', () => {
  expect(compileCondition(true).problems).toEqual([]);
  expect(compileCondition(' ${{ input.a }} ').problems).toEqual([]);
  for (const wrong of ['', 'true', 'yes ${{ input.a }}', '${{ 1 }}${{ 2 }}']) {
    expect(compileCondition(wrong).problems.map(({ code }) => code)).toEqual(['when_not_expression']);
  }
  expect(compileCondition('${{ input. }}').problems.map(({ code }) => code)).toEqual(['expression_syntax']);
});

test('what is known of a value without an evaluation is what no expression has a part in', () => {
  const value = compileValue({
    fixed: ['POST', { a: [1, null] }],
    text: 'x ${{ 1 }}',
    deep: { a: [{ b: '${{ 1 }}' }] },
  });
  const known = (name: string) => {
    const node = memberOf(value, name);
    return node === undefined ? 'not there' : constantOf(node);
  };
  expect(known('fixed')).toEqual(['POST', { a: [1, null] }]);
  expect(['text', 'deep', 'gone', 'toString'].map(known)).toEqual([
    undefined,
    undefined,
    'not there',
    'not there',
  ]);
  const whole = compileValue({ fixed: 1 });
  expect(constantOf(memberOf(whole, 'fixed')!)).toBe(1);
});
