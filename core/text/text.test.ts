import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { hideCredentials } from './credentials.ts';
import { CUT_MARK, cutText } from './cut.ts';
import { visibleLines, visibleText } from './visible.ts';

describe('text that is cut', () => {
  test('has its longest length, says so, and never ends within a character', () => {
    const property = fc.property(
      fc.string({ unit: 'grapheme' }),
      fc.integer({ min: 10, max: 40 }),
      (text, max) => {
        const cut = cutText(text, max);
        expect(cut.length).toBeLessThanOrEqual(max);
        if (text.length <= max) expect(cut).toBe(text);
        else {
          expect(cut.endsWith(CUT_MARK)).toBe(true);
          expect(text.startsWith(cut.slice(0, -CUT_MARK.length))).toBe(true);
          expect(cut.isWellFormed()).toBe(true);
        }
      },
    );
    fc.assert(property, cases(100));
  });
});

describe('visible text', () => {
  test.each([
    ['a line break', 'a\nb', 'a\\nb'],
    ['a carriage return and a tab', '\r\t', '\\r\\t'],
    ['an escape sequence', '\u001b[2Jx', '\\u001b[2Jx'],
    ['a C1 control', 'a\u009b31mb', 'a\\u009b31mb'],
    ['separators of lines and paragraphs', '\u2028\u2029', '\\u2028\\u2029'],
    ['directions', '\u202a\u202e\u2066\u2069\u200f\u061c', '\\u202a\\u202e\\u2066\\u2069\\u200f\\u061c'],
    ['what has no width', '\u200b\u200d\ufeff\u00ad', '\\u200b\\u200d\\ufeff\\u00ad'],
    ['tags', '\u{e0041}', '\\udb40\\udc41'],
    ['half a surrogate pair', '\ud800', '\\ud800'],
  ])('shows %s', (_what, text, shown) => {
    expect(visibleText(text)).toBe(shown);
  });

  test('leaves what people can see, and lines where they are wanted', () => {
    for (const text of ['plain', 'Grüße, 世界, 😀, עברית, हिन्दी', 'a\u00a0b'])
      expect(visibleText(text)).toBe(text);
    expect(visibleLines('a\nb\u202e')).toBe('a\nb\\u202e');
  });

  test('of a JSON text is the same value, in ASCII controls at least', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const json = visibleText(JSON.stringify({ text }));
        expect(JSON.parse(json)).toEqual({ text });
        expect(json).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
      }),
      cases(100),
    );
  });
});

test.each([
  ['postgres://me:p4ss@db:5432/app', 'postgres://***@db:5432/app'],
  ['cannot use "postgres://me:p#4/s?s@w@db/app": no', 'cannot use "postgres://***@db/app": no'],
  [
    'postgresql://db/app?user=me&password=p4ss&sslmode=require',
    'postgresql://db/app?user=me&password=***&sslmode=require',
  ],
  ['http://key@host/ and https://a:b@c/d', 'http://***@host/ and https://***@c/d'],
  ['http://host/path, mail me@example.com', 'http://host/path, mail me@example.com'],
  ['nothing', 'nothing'],
])('of the URL in %p nobody is shown: %p', (text, shown) => {
  expect(hideCredentials(text)).toBe(shown);
});
