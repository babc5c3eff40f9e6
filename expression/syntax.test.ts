import { expect, test } from 'bun:test';
import { describePosition, parseText } from './syntax.ts';

const sources = (text: string): string[] =>
  parseText(text).segments.flatMap((segment) => (typeof segment === 'string' ? [] : [segment.source.trim()]));
const errorOf = (text: string): string => parseText(text).error?.message ?? 'none';

test('an expression ends where JavaScript says, not at the first braces', () => {
  expect(sources('${{ {a: {b: 1}} }}')).toEqual(['{a: {b: 1}}']);
  expect(sources('${{{a:{b:1}}}}')).toEqual(['{a:{b:1}}']);
  expect(sources('${{ "}}" + `${"}}"}}}` + /[}}]/.source }}')).toEqual([
    '"}}" + `${"}}"}}}` + /[}}]/.source',
  ]);
  expect(sources("${{ '${{' }}")).toEqual(["'${{'"]);
  expect(sources('${{ (input.a) /* }} */ }}')).toEqual(['(input.a) /* }} */']);
});

test('a string that is one expression with white space around it is single', () => {
  expect(parseText('  ${{ input }}\n').single).toBe(true);
  expect(parseText('x ${{ input }}').single).toBe(false);
  expect(parseText('${{ input }}${{ input }}').single).toBe(false);
});

test('literal text between expressions is kept as it is', () => {
  const { segments } = parseText(' a ${{ 1 }}}} ${{ 2 }} z ');
  expect(segments.map((segment) => (typeof segment === 'string' ? segment : 0))).toEqual([
    ' a ',
    0,
    '}} ',
    0,
    ' z ',
  ]);
});

test('a message says what is wrong with an expression', () => {
  expect(errorOf('${{ }}')).toContain('empty');
  expect(errorOf('${{ input.a')).toContain('no closing }}');
  expect(errorOf('${{ input.a } }')).toContain('}}');
  expect(errorOf('${{ input. }}')).toContain('not a JavaScript expression');
  expect(errorOf('${{ if (input) 1 }}')).toContain('statements are not allowed');
  expect(errorOf('${{ let a = 1 }}')).toContain('statements are not allowed');
  expect(errorOf('${{ a; b }}')).toContain('only one JavaScript expression');
  expect(errorOf('${{ yield 1 }}')).not.toBe('none');
});

test('an expression nested deeper than the parser can go is a problem and not a crash', () => {
  const depth = 200_000;
  expect(errorOf(`\${{ ${'('.repeat(depth)}1${')'.repeat(depth)} }}`)).toContain('nested too deeply');
});

test('a position is told as a person counts', () => {
  expect(describePosition('abc', 1)).toBe('character 2');
  expect(describePosition('ab\ncd', 4)).toBe('line 2, character 2');
});
