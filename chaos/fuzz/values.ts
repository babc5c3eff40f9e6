/**
 * JSON and YAML texts that are hard to read: deep, wide, both at once, long names, repeated names, numbers, aliases.
 */
import type { Chance } from '../chance.ts';

/** Texts of JSON values. @param size about as many characters, at most */
const JSON_TEXTS: readonly ((draw: Chance, size: number) => string)[] = [
  (_draw, size) => `${'['.repeat(size / 2)}${']'.repeat(size / 2)}`,
  (_draw, size) => `${'{"a":'.repeat(size / 6)}1${'}'.repeat(size / 6)}`,
  (_draw, size) => `[${'1,'.repeat(size / 2)}1]`,
  (_draw, size) => `[${'{},'.repeat(size / 3)}{}]`,
  (_draw, size) => `{${Array.from({ length: size / 10 }, (_, at) => `"k${at}":${at}`).join()}}`,
  (_draw, size) => `{"${'k'.repeat(size)}":1}`,
  (_draw, size) => JSON.stringify('x'.repeat(size)),
  (_draw, size) => JSON.stringify('é😀'.repeat(size / 4)),
  (_draw, size) => `"${'\\u00e9'.repeat(size / 6)}"`,
  (_draw, size) =>
    `[${Array.from({ length: size / 12 }, (_, at) => `"${at % 7}-${'a'.repeat(at % 9)}"`).join()}]`,
  // Deep and wide at once.
  (_draw, size) => `${'[1,[2],{"a":[]},'.repeat(size / 18)}0${']'.repeat(size / 18)}`,
  (_draw, size) => `{"a":1,${'"b":{"a":1,"a":2},'.repeat(size / 19)}"c":1}`,
  (draw, size) =>
    `[${`${draw.pick(['1e999', '9007199254740993', '-0', '1.10', '0.1e-400', '123456789012345678901234567890'])},`.repeat(size / 20)}1]`,
  (_draw, size) => `${'9'.repeat(size)}`,
  (_draw, size) => `"${'\\ud800'.repeat(Math.min(size / 6, 10))}\\u0000"`,
  (_draw, size) => `[${'"a{1000}(x|y){0,50}",'.repeat(size / 22)}""]`,
  (_draw, size) =>
    `{"${'__proto__'}":${'{"constructor":'.repeat(Math.min(size / 16, 400))}1${'}'.repeat(Math.min(size / 16, 400))}}`,
  (_draw, size) => ' '.repeat(size),
];

export function hostileJson(draw: Chance, size: number): string {
  return draw.pick(JSON_TEXTS)(draw, Math.max(2, Math.floor(size)));
}

/** Texts of YAML documents that are not plain JSON. */
const YAML_TEXTS: readonly ((size: number) => string)[] = [
  // Ten aliases of a value with ten aliases.
  (size) =>
    `${Array.from({ length: Math.min(size / 60, 200) }, (_, at) => `a${at}: &a${at} [${at === 0 ? 'x' : `*a${at - 1},`.repeat(9)}]`).join('\n')}\n`,
  (size) => Array.from({ length: size / 20 }, (_, at) => `k${at}: &a${at} ${at}`).join('\n'),
  (size) => `base: &b {x: 1}\n${Array.from({ length: size / 12 }, (_, at) => `k${at}: *b`).join('\n')}`,
  (size) => Array.from({ length: Math.sqrt(size) }, (_, level) => `${' '.repeat(level)}a:`).join('\n'),
  (size) => `${'- '.repeat(size / 2)}x`,
  (size) => `a: |\n${'  text\n'.repeat(size / 7)}`,
  (size) => `a: "${'\\n'.repeat(size / 2)}"`,
  (size) => `${'# comment\n'.repeat(size / 10)}a: 1`,
  (size) => `${'---\na: 1\n'.repeat(size / 9)}`,
  (size) => `${'? a\n: b\n'.repeat(size / 8)}`,
  (size) => `{${'a, '.repeat(size / 3)}b}`,
  (size) => `${'!!str '.repeat(Math.min(size / 6, 1_000))}x`,
  (size) => `%YAML 1.1\n---\n<<: *x\n${'a'.repeat(size)}`,
  (size) => `a: ${'['.repeat(size)}`,
  (size) => `${'k'.repeat(size)}: 1`,
  (size) => Array.from({ length: size / 8 }, () => 'a: 1').join('\n'),
  (size) => `a: ${'0x1F,'.repeat(size / 5)}\nb: ${'9'.repeat(400)}`,
  (size) => `"${'a'.repeat(size)}`,
];

export function hostileYaml(draw: Chance, size: number): string {
  return draw.pick(YAML_TEXTS)(Math.max(2, Math.floor(size)));
}

/** A text with some of its characters changed, doubled or left out. */
export function garbled(draw: Chance, text: string): string {
  let result = text;
  for (let change = 1 + draw.below(5); change > 0; change -= 1) {
    const at = draw.below(result.length + 1);
    const piece = draw.pick([
      '',
      '"',
      '{',
      '}',
      '[',
      ',',
      ':',
      '\0',
      '\ud800',
      '\u2028',
      '\t',
      '${{',
      '9',
      result.slice(at, at + 20),
    ]);
    result = result.slice(0, at) + piece + result.slice(at + draw.below(3));
  }
  return result;
}
