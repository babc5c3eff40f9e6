/**
 * Expressions that are nested in every way JavaScript knows, in every place that takes an expression: they are read, or
 * refused by name, and what is read can be computed.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Json } from '../../core/json/json.ts';
import { compileValue } from '../../expression/compiled-value.ts';
import { ExpressionError } from '../../expression/expression-error.ts';
import { NotNative } from '../../expression/native.ts';
import { cases } from '../support/core/cases.ts';
import { readSteps } from './reading.ts';

/** An expression with `levels` of one kind of nesting. */
const FORMS: Readonly<Record<string, (levels: number) => string>> = {
  members: (levels) => `input${'.a'.repeat(levels)}`,
  'optional members': (levels) => `input${'?.a'.repeat(levels)}`,
  'computed members': (levels) => `input${'["a"]'.repeat(levels)}`,
  'members of members': (levels) => `${'input['.repeat(levels)}0${']'.repeat(levels)}`,
  calls: (levels) => `String${'()'.repeat(levels)}`,
  'calls of members': (levels) => `input${'.at(0)'.repeat(levels)}`,
  'calls of calls': (levels) => `${'String('.repeat(levels)}1${')'.repeat(levels)}`,
  sums: (levels) => `1${' + 1'.repeat(levels)}`,
  powers: (levels) => `1${' ** 1'.repeat(levels)}`,
  comparisons: (levels) => `1${' < 1'.repeat(levels)}`,
  choices: (levels) => `${'input.a ? 1 : '.repeat(levels)}2`,
  'choices of choices': (levels) => `${'input.a ? '.repeat(levels)}1${' : 2'.repeat(levels)}`,
  logic: (levels) => `1${' && 1'.repeat(levels)}`,
  'other values': (levels) => `null${' ?? null'.repeat(levels)}`,
  templates: (levels) => `${'`${'.repeat(levels)}1${'}`'.repeat(levels)}`,
  arrays: (levels) => `${'['.repeat(levels)}1${']'.repeat(levels)}`,
  spreads: (levels) => `${'[...'.repeat(levels)}[]${']'.repeat(levels)}`,
  objects: (levels) => `${'{a: '.repeat(levels)}1${'}'.repeat(levels)}`,
  'computed keys': (levels) => `${'{['.repeat(levels)}1${']: 1}'.repeat(levels)}`,
  brackets: (levels) => `${'('.repeat(levels)}1${')'.repeat(levels)}`,
  negations: (levels) => `${'!'.repeat(levels)}1`,
  'types of': (levels) => `${'typeof '.repeat(levels)}1`,
  functions: (levels) => `${'() => '.repeat(levels)}1`,
  'function bodies': (levels) => `${'() => { return '.repeat(levels)}1${'}'.repeat(levels)}`,
  blocks: (levels) => `(() => { ${'{'.repeat(levels)}${'}'.repeat(levels)} })()`,
  sequences: (levels) => `(${'1, '.repeat(levels)}1)`,
  patterns: (levels) => `((${'['.repeat(levels)}a${']'.repeat(levels)}) => a)([])`,
};

type Steps = Record<string, unknown>;

/** The steps that have an expression in one place, and the pointer of that place. */
const PLACES: Readonly<
  Record<string, { pointer: string; at: (text: string) => [Steps, Record<string, Json>] }>
> = {
  with: {
    pointer: '/steps/a/with/value/0/b',
    at: (text) => [{ a: { type: 'transform', with: { value: [{ b: text }] } } }, {}],
  },
  text: {
    pointer: '/steps/a/with/message',
    at: (text) => [{ a: { type: 'log', with: { message: `x ${text} y` } } }, {}],
  },
  when: { pointer: '/steps/a/when', at: (text) => [{ a: { type: 'noop', when: text } }, {}] },
  output: { pointer: '/output', at: (text) => [{ a: { type: 'noop' } }, { output: text }] },
  concurrency: {
    pointer: '/steps/a/concurrency/key',
    at: (text) => [{ a: { type: 'noop', concurrency: { key: text, limit: 1 } } }, {}],
  },
  rateLimit: {
    pointer: '/steps/a/rateLimit/key',
    at: (text) => [{ a: { type: 'noop', rateLimit: { key: text, limit: 1, per: '1s' } } }, {}],
  },
  case: {
    pointer: '/steps/a/with/cases/0/when',
    at: (text) => [{ a: { type: 'switch', with: { cases: [{ route: 'r', when: text }] } } }, {}],
  },
};

const form = fc.constantFrom(...Object.keys(FORMS));

for (const [place, { pointer, at }] of Object.entries(PLACES)) {
  test(`an expression in ${place} is read or refused by name, however deep it is`, () => {
    const property = fc.property(form, fc.integer({ min: 1, max: 30_000 }), (kind, levels) => {
      const [steps, header] = at(`\${{ ${FORMS[kind]!(levels)} }}`);
      const { errors } = readSteps(steps, header as Record<string, unknown>);
      const found = [...new Set(errors.map((error) => `${error.code} ${error.pointer}`))];
      if (levels <= 90) expect(found).toEqual([]);
      else if (found.length > 0) expect(found).toEqual([`expression_syntax ${pointer}`]);
    });
    fc.assert(property, { ...cases(60), examples: Object.keys(FORMS).map((kind) => [kind, 20_000]) });
  });
}

test('what was read is computed here or left to the sandbox, and never uses up the stack', () => {
  const property = fc.property(form, fc.integer({ min: 1, max: 2_000 }), (kind, levels) => {
    const { problems, parts } = compileValue(`\${{ ${FORMS[kind]!(levels)} }}`);
    if (problems.length > 0) return;
    try {
      parts[0]!.native?.({ input: {} });
    } catch (error) {
      expect(error instanceof ExpressionError || error instanceof NotNative ? '' : error).toBe('');
    }
  });
  fc.assert(property, cases(200));
});

test('a long list of unknown names is refused with the first ones', () => {
  const names = Array.from({ length: 100_000 }, (_, at) => `unknown${at}`);
  const { problems } = compileValue(`\${{ [${names.join(', ')}] }}`);
  expect(problems).toHaveLength(20);
});
