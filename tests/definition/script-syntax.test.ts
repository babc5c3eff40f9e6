/**
 * The syntax check of scripts, held against the sandbox that runs them: what it refuses the sandbox refuses.
 */
import { afterAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { createSandbox } from '../../expression/sandbox/sandbox.ts';
import { checkScript } from '../../steps/script-syntax.ts';
import { cases } from '../support/core/cases.ts';
import { errorsOf, readSteps } from './reading.ts';

const sandbox = createSandbox({ size: 1 });
afterAll(() => sandbox.close());

const CALL = { timeoutMs: 20_000, memoryBytes: 64 * 1024 * 1024 };
const COMPILE = `const make = (async () => {}).constructor;
  return input.map((code) => { try { make('input', code); return true } catch (error) { return error.name } })`;
const verdicts = (codes: readonly string[]) =>
  sandbox.runScript(COMPILE, [...codes], CALL) as Promise<(true | string)[]>;
const refusal = (code: string): string | null => {
  try {
    checkScript(code);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
};

const GOOD = [
  '',
  '// nothing',
  'return 1 // end',
  'return await Promise.all([1].map(async (x) => x))',
  'for await (const x of input) console.log(x)',
  'const { a: { b = 1 } = {}, ...rest } = input ?? {}; return { ...rest, b }',
  'return `${{ a: 1 }.a} ${"}}"}`',
  'class A { #x = 1; static { this.y = 2 } get x() { return this.#x } static async *g() { yield* [] } } return new A().x',
  'label: for (;;) { break label }',
  'return /(?<year>\\d{4})[\\p{Lu}--[A-C]]/v.test("x")',
  'return 1_000n ** 2n',
  'a ??= 1; var a; a ||= 2; a &&= 3; return a?.b?.[0]?.(1)',
  'with ({ a: 1 }) { return a + 010 }',
  'return new.target === undefined && arguments.length',
  'if (true) function f() {}\nreturn typeof f',
  'try { throw 1 } catch { return 2 } finally { }',
  'return async function* () { yield await 1 }',
  'var let = 1, async = 2, of = 3, yield = 4; return let + async + of + yield',
  'var of = 6, x = 2; return await of /x/ "s"',
  'return import.meta?.x',
  'return <!-- html comment\n 1',
  '#!/usr/bin/env node',
  '"use strict"; return this',
  'return function () { var await = 1; return await }',
];
const BAD = [
  'return (1',
  'const x = ;',
  'if (true) {',
  'return 1 }',
  '}); (async function () {',
  '}) ; process.exit(); ({',
  'await = 1',
  'let a; let a;',
  'return ${{ input.x }}',
  'export default 1',
  'import x from "y"',
  'break',
  'return "\n"',
  'const x = 1 y',
  '/*',
  '`',
  'return /(/',
];

/** `new a?.b` is no JavaScript (ECMA-262, 13.3.1.1), and the sandbox takes it all the same. */
const LENIENT = /\bnew\b[\s\S]*\?\./;

describe('the code of a script', () => {
  test('that the sandbox takes is taken, and most that it refuses is refused', async () => {
    const found = await verdicts([...GOOD, ...BAD]);
    for (const [at, code] of GOOD.entries())
      if (found[at] === true) expect({ code, refusal: refusal(code) }).toEqual({ code, refusal: null });
    for (const code of BAD)
      expect({ code, refused: refusal(code) !== null }).toEqual({ code, refused: true });
    const taken = BAD.filter((_, at) => found[GOOD.length + at] === true);
    // Code that leaves its function is refused, although the sandbox lets it.
    expect(taken).toEqual(['}); (async function () {']);
  });

  test('made of random pieces is refused only when the sandbox refuses it', async () => {
    const pieces = `await async function class const let var return yield static get set of in new this input x y 1 010 1n "s"
      ( ) { } [ ] , ; : => = + - * ** ?. ?? ! ... . \` \${ / /x/ if else for while do try catch break # @ \\u0061 <!-- -->`;
    const piece = fc.constantFrom(...pieces.trim().split(/\s+/), '\n');
    const code = fc.array(piece, { minLength: 1, maxLength: 7 }).map((list) => list.join(' '));
    const property = fc.asyncProperty(fc.array(code, { minLength: 200, maxLength: 200 }), async (codes) => {
      const found = await verdicts(codes);
      const wrong = codes.filter(
        (text, at) => found[at] === true && refusal(text) !== null && !LENIENT.test(text),
      );
      expect(wrong.map((text) => `${text}: ${refusal(text)}`)).toEqual([]);
    });
    await fc.assert(property, cases(25));
  });

  test('is refused at publish with the place of the mistake', () => {
    const { errors } = readSteps({ a: { type: 'script', with: { code: 'const a = 1;\n  return a +* 2' } } });
    expect(errors).toMatchObject([{ code: 'invalid_params', pointer: '/steps/a/with/code' }]);
    expect(errors[0]!.message).toContain('line 2, character 13');
    const [mixed] = readSteps({ a: { type: 'script', with: { code: 'return ${{ input.x }}' } } }).errors;
    expect(mixed!.message).toContain('pass the data in "input"');
  });

  test('that nests too deeply for the parser is left to the sandbox', () => {
    const code = `return ${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    expect(errorsOf(readSteps({ a: { type: 'script', with: { code } } }))).toEqual([]);
  });
});
