/**
 * Expressions that are hard to read for a parser: deep in every way, long, full of unknown names.
 */
import type { Chance } from '../chance.ts';

const NESTED: readonly ((levels: number) => string)[] = [
  (levels) => `input${'.a'.repeat(levels)}`,
  (levels) => `input${'?.a'.repeat(levels)}`,
  (levels) => `${'input['.repeat(levels)}0${']'.repeat(levels)}`,
  (levels) => `input${'.at(0)'.repeat(levels)}`,
  (levels) => `1${' + 1'.repeat(levels)}`,
  (levels) => `${'input.a ? 1 : '.repeat(levels)}2`,
  (levels) => `${'`${'.repeat(levels)}1${'}`'.repeat(levels)}`,
  (levels) => `${'['.repeat(levels)}1${']'.repeat(levels)}`,
  (levels) => `${'{a: '.repeat(levels)}1${'}'.repeat(levels)}`,
  (levels) => `${'('.repeat(levels)}1${')'.repeat(levels)}`,
  (levels) => `${'!'.repeat(levels)}1`,
  (levels) => `${'() => '.repeat(levels)}1`,
  (levels) => `/${'('.repeat(levels)}${')'.repeat(levels)}/`,
];

const LONG: readonly ((count: number) => string)[] = [
  (count) => Array.from({ length: count }, (_, at) => `unknown${at}`).join(' + '),
  (count) => `[${Array.from({ length: count }, (_, at) => `steps.s${at}.output`).join()}]`,
  (count) => `{${Array.from({ length: count }, (_, at) => `k${at}: input.a`).join()}}`,
  (count) => `"${'x'.repeat(count)}"`,
  (count) => `/* ${'*'.repeat(count)} */ 1`,
  (count) => `1${' '.repeat(count)}}`,
  (count) => `steps.${'s'.repeat(count)}.outptu`,
];

/** Below or above the accepted size. @param most levels, names or characters */
export function hostileExpression(draw: Chance, most: number): string {
  const size = 1 + draw.below(most);
  return `\${{ ${draw.pick(draw.happens(0.5) ? NESTED : LONG)(size)} }}`;
}

/** A text with many small expressions. */
export function manyExpressions(draw: Chance, most: number): string {
  const one = draw.pick(['${{ input.a }}', '${{ 1 }', '${{', 'x ${{ y }} ', '${{ steps.a.output }}}}']);
  return one.repeat(1 + draw.below(Math.max(1, Math.floor(most / one.length))));
}
