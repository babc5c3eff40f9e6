import { afterAll, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../tests/support/core/cases.ts';
import type { Part, Scope } from './compiled.ts';
import { compileValue } from './compiled-value.ts';
import { ExpressionError } from './expression-error.ts';
import { INHERITED, SANDBOX_GLOBALS } from './names.ts';
import { NotNative } from './native.ts';
import { createSandbox } from './sandbox/sandbox.ts';
import { settle } from './settle.ts';

const sandbox = createSandbox({ size: 1 });
afterAll(() => sandbox.close());

const KEYS = ['a', 'b', 'é', '0', 'length', '__proto__', 'constructor', 'toString', 'map', '\ud800'];

/** JSON text, so that `__proto__` becomes a member as it does in data that arrives. */
const jsonText = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(
      'null',
      'true',
      'false',
      '-0',
      '0',
      '1e300',
      '9007199254740993',
      '"12"',
      '""',
      '"\\u0000"',
    ),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
    fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items}]`),
    fc
      .array(fc.tuple(fc.constantFrom(...KEYS), tie('value')), { maxLength: 4 })
      .map((members) => `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`)}}`),
  ),
})).value;

const BINARY = '=== !== == != < <= > >= + - * / % & | ^ << >> >>> && ||'.split(' ');
const NAMES = ['a', 'b', 'é', 'length', '__proto__', 'constructor', 'toString'];

const expression = fc.letrec<{ any: string }>((tie) => {
  const any = tie('any');
  const key = fc.oneof(
    fc.constantFrom(...KEYS).map((name) => JSON.stringify(name)),
    any,
  );
  return {
    any: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom(
        'input',
        'item',
        'index',
        'undefined',
        'NaN',
        'Infinity',
        'null',
        'true',
        '-0',
        '1e21',
        '"x"',
        '0.1',
      ),
      fc
        .tuple(any, fc.constantFrom('.', '?.'), fc.constantFrom(...NAMES))
        .map(([o, dot, name]) => `(${o})${dot}${name}`),
      fc.tuple(any, fc.constantFrom('', '?.'), key).map(([o, dot, k]) => `(${o})${dot}[${k}]`),
      fc
        .tuple(any, fc.constantFrom(...NAMES), fc.constantFrom(...NAMES))
        .map(([o, a, b]) => `(${o})?.${a}.${b}`),
      fc.tuple(any, fc.constantFrom(...BINARY), any).map(([l, operator, r]) => `(${l}) ${operator} (${r})`),
      fc.tuple(any, any).map(([l, r]) => `(${l}) ?? (${r})`),
      fc.tuple(fc.constantFrom('!', '-', '+', '~', 'typeof ', 'void '), any).map(([o, v]) => `${o}(${v})`),
      fc.tuple(any, any, any).map(([c, y, n]) => `(${c}) ? (${y}) : (${n})`),
      fc.tuple(any, any).map(([a, b]) => `\`<\${${a}}|\${${b}}>\``),
      fc.tuple(any, any).map(([a, b]) => `[${a}, ...[${b}], ...((${a}) || [])]`),
      fc.tuple(any, key, any).map(([a, k, v]) => `({ a: ${v}, ...(${a}), [${k}]: ${v}, "__proto__x": 1 })`),
      fc.tuple(any, any).map(([a, b]) => `({ ["__proto__"]: ${a}, b: ${b} })`),
    ),
  };
}).any;

type Outcome = { value: string } | { error: string };

/** As JSON keeps it, with numbers that are not finite written out. */
function shown(value: unknown): string {
  const text = JSON.stringify(value, (_, member) =>
    typeof member === 'number' && !Number.isFinite(member) ? `number ${member}` : member,
  );
  return text ?? 'undefined';
}

async function outcomeOf(run: () => unknown): Promise<Outcome | 'not native'> {
  try {
    return { value: shown(await run()) };
  } catch (error) {
    if (error instanceof NotNative) return 'not native';
    if (error instanceof ExpressionError) return { error: error.code };
    throw error;
  }
}

const nativeResult = ({ native }: Part, scope: Scope): unknown => settle(native!(scope), { left: 1e7 });

test('what native code computes is what the sandbox computes', async () => {
  let native = 0;
  const property = fc.asyncProperty(
    jsonText,
    jsonText,
    fc.array(expression, { minLength: 8, maxLength: 8 }),
    async (a, b, sources) => {
      const scope: Scope = JSON.parse(`{"input":${a},"item":${b},"index":7}`);
      const parts = sources.map((source) => compileValue(`\${{ ${source} }}`).parts[0]!);
      await Promise.all(
        parts.map(async (part) => {
          if (part.native === null) return;
          const found = await outcomeOf(() => nativeResult(part, scope));
          if (found === 'not native') return;
          native++;
          const expected = await outcomeOf(() => sandbox.evaluate(part.source, scope));
          expect({ source: part.source, found }).toEqual({ source: part.source, found: expected as Outcome });
        }),
      );
    },
  );
  await fc.assert(property, cases(40));
  expect(native).toBeGreaterThan(25);
});

test('the common expressions are native', () => {
  const native = [
    'input.order.id',
    'steps.a.output.body.total > 100',
    'steps["a-b"]?.output?.[0]?.x ?? "none"',
    '`${input.a}-${index + 1}`',
    '{ id: input.id, tags: [...input.tags, "x"], ...item }',
    '!input.a && input.b !== null ? secrets.KEY : vars.x',
    'inputs.a.length === 0',
  ];
  for (const source of native)
    expect({ source, native: compileValue(`\${{ ${source} }}`).native }).toEqual({ source, native: true });
});

test('calls, functions, regular expressions and inherited members are left to the sandbox', () => {
  for (const source of [
    'input.a.map(x => x)',
    '/a/',
    '2 ** 3',
    '"a" in input',
    '{ __proto__: input }',
    '{ get a() { return 1 } }',
    '1n',
    'new Date()',
  ]) {
    expect({ source, native: compileValue(`\${{ ${source} }}`).native }).toEqual({ source, native: false });
  }
  for (const source of [
    'input.constructor',
    'input["__proto__"]',
    'input[item]',
    '"x".at',
    '[].map',
    '1..toFixed',
    'input + ""',
    'input == item',
  ]) {
    const { native } = compileValue(`\${{ ${source} }}`).parts[0]!;
    expect(() => native!({ input: {}, item: 'valueOf' })).toThrow(NotNative);
  }
});

test('an own member that is named like an inherited one is read natively', () => {
  const { native } = compileValue('${{ input.constructor + input["__proto__"] }}').parts[0]!;
  expect(native!({ input: JSON.parse('{"constructor":1,"__proto__":2}') })).toBe(3);
});

test('reading a member of null says which path is null and how to allow it', () => {
  const { native } = compileValue('${{ steps.a.output.body.id }}').parts[0]!;
  const scope = { steps: { a: { output: null } } };
  expect(() => native!(scope)).toThrow(
    'steps.a.output is null, so .body cannot be read; write steps.a.output?.body',
  );
});

test('text that grows too long is left to the sandbox, which has bounded memory', () => {
  const { native } = compileValue(`\${{ ${Array(8).fill('input').join(' + ')} }}`).parts[0]!;
  expect(() => native!({ input: 'x'.repeat(100_000) })).toThrow(NotNative);
});

test('every name that the sandbox inherits is known here', async () => {
  for (const [type, sample] of Object.entries({
    object: '{}',
    array: '[]',
    string: '""',
    number: '0',
    boolean: 'true',
  })) {
    const source = `(() => { const names = []; for (let p = Object.getPrototypeOf(${sample}); p; p = Object.getPrototypeOf(p)) names.push(...Object.getOwnPropertyNames(p)); return names })()`;
    const names = (await sandbox.evaluate(source, {})) as string[];
    const known = INHERITED[type as keyof typeof INHERITED];
    const missing = names.filter((name) => !known.has(name) && name !== 'length');
    expect({ type, missing }).toEqual({ type, missing: [] });
  }
});

test('every global that the check allows exists in the sandbox', async () => {
  const source = `${JSON.stringify([...SANDBOX_GLOBALS])}.filter(name => !(name in globalThis))`;
  expect(await sandbox.evaluate(source, {})).toEqual([]);
});
