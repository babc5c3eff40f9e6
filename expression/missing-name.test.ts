import { afterAll, describe, expect, test } from 'bun:test';
import { compileValue } from './compiled-value.ts';
import { compileCondition } from './condition.ts';
import { createEvaluator } from './evaluator.ts';
import { ExpressionError } from './expression-error.ts';
import { createSandbox } from './sandbox/sandbox.ts';

const sandbox = createSandbox({ size: 1 });
const evaluator = createEvaluator(sandbox);
afterAll(() => sandbox.close());

const scope = { input: { k: 'NOPE', t: 'TOKEN' }, secrets: Object.freeze({ TOKEN: 'tttttttt' }), vars: {} };
const failure = async (work: () => unknown): Promise<unknown> => {
  try {
    return await work();
  } catch (error) {
    return error;
  }
};

const MISSING: readonly [source: string, native: boolean][] = [
  ['secrets.NOPE', true],
  ['secrets["NOPE"]', true],
  ['secrets[input.k]', true],
  ['secrets?.NOPE', true],
  ['(secrets).NOPE', true],
  ['secrets.NOPE ?? "default"', true],
  ['`Bearer ${secrets.NOPE}`', true],
  ['{ a: [secrets.NOPE] }', true],
  ['[secrets][0].NOPE', true],
  ['input.t === "x" ? 1 : secrets.NOPE', true],
  ['secrets.NOPE.length', true],
  ['secrets.NOPE?.trim()', false],
  ['((name) => secrets[name])("NOPE")', false],
  ['(({ NOPE }) => NOPE)(secrets)', false],
  ['(({ NOPE = "default" }) => NOPE)(secrets)', false],
  ['(() => { try { return secrets.NOPE } catch { return "caught" } })()', false],
  ['["TOKEN", "NOPE"].map((name) => secrets[name])', false],
  ['Reflect.get(secrets, "NOPE")', false],
];

describe('a name that is not there', () => {
  test.each(MISSING)('fails %s', async (source, native) => {
    const compiled = compileValue(`\${{ ${source} }}`);
    expect(compiled.native).toBe(native);
    const works = [
      () => evaluator.evaluate(compiled, scope),
      () => evaluator.evaluate(compileValue(`Bearer \${{ ${source} }}`), scope),
      () => sandbox.evaluateAll([`(${source})`], JSON.stringify(scope)),
      () => evaluator.evaluateCondition(compileCondition(`\${{ ${source} }}`), scope),
      () => evaluator.evaluate(compileValue(`\${{ ${source.replaceAll('secrets', 'vars')} }}`), scope),
    ];
    const errors = await Promise.all(works.map(failure));
    for (const [at, error] of errors.entries()) {
      expect(error).toBeInstanceOf(ExpressionError);
      const isVars = at === errors.length - 1;
      expect((error as ExpressionError).code).toBe(isVars ? 'variable_missing' : 'secret_missing');
      const name = isVars && source.startsWith('["TOKEN"') ? 'TOKEN' : 'NOPE';
      expect((error as ExpressionError).message).toContain(
        `there is no ${isVars ? 'variable' : 'secret'} "${name}"`,
      );
    }
  });

  test('does not fail what only asks for it, nor what is there', async () => {
    const found = async (source: string) =>
      await evaluator.evaluate(compileValue(`\${{ ${source} }}`), scope);
    expect(await found('secrets.TOKEN')).toBe('tttttttt');
    expect(await found('secrets[input.t]')).toBe('tttttttt');
    expect(await found('"NOPE" in secrets')).toBeFalse();
    expect(await found('"TOKEN" in secrets')).toBeTrue();
    expect(await found('Object.keys(secrets)')).toEqual(['TOKEN']);
    expect(await found('Object.hasOwn(secrets, "NOPE")')).toBeFalse();
    expect(await found('JSON.stringify(secrets)')).toBe('{"TOKEN":"tttttttt"}');
    expect(await found('secrets')).toEqual({ TOKEN: 'tttttttt' });
    expect(await found('{ ...secrets }')).toEqual({ TOKEN: 'tttttttt' });
    expect(await found('Object.entries(secrets).length')).toBe(1);
    expect(await found('`${secrets}`')).toBe('[object Object]');
    expect(await found('typeof secrets.toString')).toBe('function');
    expect(await found('true || secrets.NOPE')).toBeTrue();
    expect(await found('vars')).toEqual({});
    expect(await found('input.nope')).toBeNull();
  });

  test('fails the expression that reads it and no other of the same evaluation', async () => {
    const compiled = compileValue({ a: '${{ [1].map(String) }}', b: '${{ [secrets.NOPE].map(String) }}' });
    const error = await failure(() => evaluator.evaluate(compiled, scope));
    expect(error).toMatchObject({ code: 'secret_missing', pointer: '/b' });
  });
});
