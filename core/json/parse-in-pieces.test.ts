/** Large JSON texts, parsed a piece at a time. */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { parsedText, parseJsonInPieces } from './parse-in-pieces.ts';

function parse(text: string): { value: unknown; pauses: number; longest: number } {
  const work = parseJsonInPieces(text);
  let pauses = 0;
  let longest = 0;
  for (;;) {
    const begunAt = performance.now();
    const step = work.next();
    longest = Math.max(longest, performance.now() - begunAt);
    if (step.done === true) return { value: step.value, pauses, longest };
    pauses += 1;
  }
}

const many = (count: number, make: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => make(at));
const nested = (levels: number, inner: string, around: (at: number) => [string, string]) => {
  const sides = Array.from({ length: levels }, (_, at) => around(at));
  return `${sides.map(([before]) => before).join('')}${inner}${sides
    .reverse()
    .map(([, after]) => after)
    .join('')}`;
};
const LARGE = 300_000;

const TEXTS: Readonly<Record<string, string>> = {
  'a number': '12',
  'a short string': '"a"',
  'a long string': JSON.stringify('x'.repeat(LARGE)),
  'a long string of escapes': `"${'\\n'.repeat(LARGE)}"`,
  'a long string of escaped quotes': `"${'\\"'.repeat(LARGE)}"`,
  'a long string of backslashes': `"${'\\\\'.repeat(LARGE)}"`,
  'a long string of code units': `"${'\\ud83d\\ude00x'.repeat(LARGE / 10)}"`,
  'a long string of characters of two units': JSON.stringify(`x${'😀'.repeat(LARGE)}`),
  'an empty array': '[]',
  'many spaces': `[${' '.repeat(LARGE)}]`,
  'many numbers': `[${many(LARGE / 4, String).join()}]`,
  'many numbers, with spaces': `  [ ${many(LARGE / 4, String).join(' , ')} ]  `,
  'many empty objects': `[${many(LARGE / 3, () => '{}').join()}]`,
  'many members': `{${many(LARGE / 10, (at) => `"k${at}": ${at}`).join(', ')}}`,
  'many records': `{"a":[${many(LARGE / 30, (at) => `{"id":${at},"text":"a,]}\\"[{"}`).join()}],"b":null}`,
  'deep arrays': nested(500, many(LARGE / 4, String).join(), () => ['[', ']']),
  'deep objects': nested(500, `"x":[${many(LARGE / 4, String).join()}]`, () => ['{"a": ', '}']).replace(
    '"x":',
    '',
  ),
  'deep and wide': nested(60, '0', (at) => [`[[1,2],"${'x'.repeat(6_000)}",{"a":${at}},`, `,[${at}],{}]`]),
  'long items between short ones': `[1,${JSON.stringify('y'.repeat(LARGE))},2,[],${JSON.stringify('z'.repeat(LARGE))}]`,
  'long members between short ones': `{"a":1,"b":${JSON.stringify('y'.repeat(LARGE))},"c":2,"d":[${many(LARGE / 4, String).join()}],"e":{}}`,
  'a long key': `{"a":1,${JSON.stringify('k'.repeat(LARGE))} : 1,"b":2}`,
  'a long key of a container': `{"a":1,${JSON.stringify('k'.repeat(LARGE))}:{"x":[1,{}]},"b":2}`,
  'a long key of a large container': `{${JSON.stringify('k'.repeat(LARGE))}:[${many(LARGE / 4, String).join()}],"b":2}`,
  'a long key of a long string': `{${`"${'\\t'.repeat(LARGE)}"`}:${JSON.stringify('y\n'.repeat(LARGE))},"b":2}`,
  'a key with a name of JavaScript': `{"__proto__":{"a":[${many(LARGE / 4, String).join()}]},"constructor":1,"${'__proto__x'}":2}`,
};

for (const [name, text] of Object.entries(TEXTS)) {
  test(`${name}: the value is that of JSON.parse, and large texts are paused at each piece`, () => {
    const { value, pauses } = parse(text);
    const expected = JSON.parse(text);
    expect(JSON.stringify(value)).toBe(JSON.stringify(expected));
    expect(value).toEqual(expected);
    expect(pauses).toBeGreaterThanOrEqual(Math.floor(text.length / 300_000));
  });
}

test('the text of each large part is known afterwards, and of no small one', () => {
  const list = `[${many(LARGE / 4, String).join()}]`;
  const value = parse(`{"a":${list},"b":{"c":[1]}}`).value as { a: object; b: { c: object } };
  expect(parsedText(value) === `{"a":${list},"b":{"c":[1]}}`).toBe(true);
  expect(parsedText(value.a) === list).toBe(true);
  expect([parsedText(value.b), parsedText(value.b.c)]).toEqual([undefined, undefined]);
});

test('__proto__ stays a plain member', () => {
  const text = `{"__proto__":[${many(LARGE, String).join()}],"a":1}`;
  const { value } = parse(text);
  expect(Object.keys(value as object)).toEqual(['__proto__', 'a']);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
});

test('any value comes out as JSON.parse would make it, whatever its parts are worth', () => {
  const long = fc.oneof(
    fc.constantFrom('"', '\\', '\n', '\u2028', '😀', 'x').map((part) => part.repeat(70_000)),
    fc
      .array(fc.integer(), { minLength: 1 })
      .map((items) => Array.from({ length: 20_000 }, (_, at) => items[at % items.length])),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.jsonValue(),
      long,
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.dictionary(fc.oneof(fc.string(), fc.constant('k'.repeat(70_000))), tie('tree'), { maxKeys: 4 }),
    ),
  }));
  fc.assert(
    fc.property(tree, fc.constantFrom(undefined, 1), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      expect(JSON.stringify(parse(text).value)).toBe(JSON.stringify(JSON.parse(text)));
    }),
    cases(150),
  );
});

const BROKEN = [
  ',',
  '[',
  ']',
  '{',
  '}',
  ':',
  '"',
  '0',
  'x',
  ' ',
  '\\',
  '\n',
  '\u00a0',
  '"a"',
  '""',
  'null',
  '"a":',
];

test('what JSON.parse refuses is refused, wherever a large text is broken', () => {
  const texts = Object.values(TEXTS).filter((text) => text.length > 100_000);
  fc.assert(
    fc.property(
      fc.constantFrom(...texts),
      fc.constantFrom(...BROKEN, ...BROKEN.map((part) => part.repeat(70_000))),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.boolean(),
      fc.nat({ max: 3 }),
      (text, part, place, isAtMark, removed) => {
        let at = Math.floor(place * text.length);
        // Most faults matter beside brackets and commas.
        while (isAtMark && at < text.length && !'[]{},:"'.includes(text[at]!)) at += 1;
        const broken = text.slice(0, at) + part + text.slice(at + removed);
        expect(outcomeOf(() => parse(broken).value)).toBe(outcomeOf(() => JSON.parse(broken)));
      },
    ),
    cases(150),
  );
});

function outcomeOf(read: () => unknown): string {
  try {
    return JSON.stringify(read());
  } catch {
    return 'refused';
  }
}

test.each([
  '',
  '[',
  '[1,',
  '{"a"',
  '"a',
  '[1]]',
  '{"a":1}}',
  ',',
  ']',
  `"${'x'.repeat(100_000)}`,
  '['.repeat(100_000),
])('%#: this is no JSON', (text) => {
  expect(() => parse(text)).toThrow();
});
