import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { BYTE_SPELLINGS, ESCAPES, PLAIN_BYTE_SPELLINGS } from '../../tests/support/spellings.ts';
import type { Json } from '../json/json.ts';
import { CUT_MARK, cutText } from '../text/cut.ts';
import { fullyDecoded } from './decode.ts';
import { createMasker } from './masker.ts';

/** Ways that leave no letter as it is. */
const EVERY_LETTER: typeof ESCAPES = {
  'every byte of a url': (text) =>
    [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  'every unit of a string': (text) =>
    text.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  'every character of html': (text) => text.replace(/[\s\S]/gu, (c) => `&#${c.codePointAt(0)};`),
};
const BYTES: Readonly<Record<string, (text: string) => string>> = {
  base64: (text) => Buffer.from(text).toString('base64'),
  base64url: (text) => Buffer.from(text).toString('base64url'),
  'base64 in lines': (text) =>
    Buffer.from(text)
      .toString('base64')
      .replace(/.{16}(?=.)/g, '$&\n'),
  'base64 in longer lines': (text) =>
    Buffer.from(text)
      .toString('base64')
      .replace(/.{20}(?=.)/g, '$&\r\n\t'),
  hex: (text) => Buffer.from(text).toString('hex'),
  'hex in upper case': (text) => Buffer.from(text).toString('hex').toUpperCase(),
};

const secret = fc.oneof(
  fc.string({ unit: 'grapheme-ascii', minLength: 8, maxLength: 60 }),
  fc.string({ unit: fc.constantFrom(...'abXY09+/=%&"\\\n<>\'.-_~ é€😀'), minLength: 8, maxLength: 40 }),
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 8, maxLength: 64 }),
  fc.string({ unit: fc.constantFrom(...'!@#$%^&*()[]{}'), minLength: 8, maxLength: 12 }),
);
const escaping = fc.constantFrom(...Object.keys(ESCAPES));
const bytes = fc.constantFrom(...Object.keys(BYTES));
/** Around a secret: letters that no secret has. */
const words = fc.string({ unit: fc.constantFrom(...'GHJKLM '), maxLength: 12 });

describe('a secret', () => {
  test('is masked in every nesting of escapes, and nothing else is', () => {
    fc.assert(
      fc.property(
        secret,
        fc.array(escaping, { maxLength: 4 }),
        words,
        words,
        (value, names, before, after) => {
          const written = names.reduce((text, name) => ESCAPES[name]!(text), value);
          const masked = createMasker([value]).text(`${before}${written}${after}`);
          // A space beside the secret may be taken for one of its own, or for a plus.
          expect(masked.replaceAll(' ', '')).toBe(`${before}***${after}`.replaceAll(' ', ''));
        },
      ),
      cases(1_000),
    );
  });

  test('is masked where every letter of it is escaped, whatever was escaped before', () => {
    const last = fc.constantFrom(...Object.keys(EVERY_LETTER));
    fc.assert(
      fc.property(secret, fc.array(escaping, { maxLength: 2 }), last, (value, names, name) => {
        const written = EVERY_LETTER[name]!(names.reduce((text, each) => ESCAPES[each]!(text), value));
        const mask = createMasker([value]);
        expect(mask.text(`G ${written} G`)).toBe('G *** G');
        expect(mask.suspects(JSON.stringify([written]))).toBe(true);
      }),
      cases(1_000),
    );
  });

  test('is masked as bytes wherever it begins, escaped before and after', () => {
    const escapes = fc.array(
      fc.constantFrom('json', 'json in ASCII', 'json with slashes escaped', 'url', 'form', 'html'),
      { maxLength: 1 },
    );
    fc.assert(
      fc.property(
        secret,
        escapes,
        bytes,
        fc.nat(5),
        fc.nat(5),
        escaping,
        (value, inner, coder, left, right, outer) => {
          const within = inner.reduce((text, name) => ESCAPES[name]!(text), value);
          const coded = BYTES[coder]!(`${'G'.repeat(left)}${within}${'H'.repeat(right)}`).replace(/=+$/, '');
          const masked = createMasker([value]).text(`<${ESCAPES[outer]!(coded)}>`);
          // No more than what was around it; a character that shares its bits with the secret is gone.
          const rest = coder.startsWith('hex')
            ? /^<(47)*\*\*\*(48)*>$/
            : /^<[A-Za-z0-9]{0,7}\*\*\*[A-Za-z0-9]{0,7}>$/;
          // Line breaks may be left beside the secret.
          expect(fullyDecoded(masked).replaceAll('+', ' ').replace(/\s+/g, '')).toMatch(rest);
        },
      ),
      cases(1_000),
    );
  });

  test('leaves nothing where a text was cut through it, however it is written', () => {
    const part = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(secret, fc.array(escaping, { maxLength: 3 }), part, (value, names, share) => {
        const write = (text: string) => names.reduce((written, name) => ESCAPES[name]!(written), text);
        const written = write(value);
        const shown = Math.floor(share * written.length);
        const masked = createMasker([value]).text(`GGGG${written.slice(0, shown)}${CUT_MARK}`);
        // Of a first character that is not whole there is no more than a piece of its escape.
        const [first] = value;
        if (shown >= write(first!).length) expect(masked).toBe(`GGGG***${CUT_MARK}`);
      }),
      cases(1_000),
    );
  });

  test('that holds or begins with another one is masked whole, and two beside each other are one mask', () => {
    const mask = createMasker(['abcdefgh', 'abcdefgh-and-more', 'more-12345']);
    expect(mask.text('x abcdefgh-and-more y')).toBe('x *** y');
    expect(mask.text('abcdefgh-and-more-12345')).toBe('***');
    expect(createMasker(['aaaaaaaa']).text(`b${'a'.repeat(20)}b`)).toBe('b***b');
  });

  test('in several lines is masked line by line as well', () => {
    const key = '-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n';
    const mask = createMasker([key]);
    for (const line of key.trim().split('\n')) expect(mask.text(`> ${line}\r`)).toBe('> ***\r');
    expect(mask.text(JSON.stringify({ key }))).toBe('{"key":"***"}');
  });

  test('that is empty masks nothing, and without secrets nothing is looked at', () => {
    const value = { a: [1, 'x'] };
    for (const mask of [createMasker([]), createMasker([''])]) {
      expect(mask.suspects('anything')).toBe(false);
      expect(mask.value(value)).toBe(value);
    }
  });

  test('is hidden with the backslash in front of it only where that is a part of it', () => {
    const mask = createMasker(['ncanary-tail']);
    expect(mask.text('\ncanary-tail')).toBe('\ncanary-tail');
    expect(mask.text('a ncanary-tail')).toBe('a ***');
  });
});

test.each([
  ['0012345678', ['12345678']],
  ['84123456789012345678', ['84123456789012350000']],
  ['8412345678901234567890', ['8.412345678901235e+21']],
  ['12345678.90', ['12345678.9']],
  ['4111-1111-2222-3333', ['4111111122223333']],
  ['12345678-and-more', ['12345678']],
  ['0x3ade68b1', ['987654321']],
])('the number that the digits of %p make is masked', (value, numbers) => {
  const mask = createMasker([value]);
  for (const number of numbers) {
    const json = { pin: Number(number), line: `it is ${number}.` };
    expect(mask.suspects(JSON.stringify(json))).toBe(true);
    expect(mask.value(json)).toEqual({ pin: '***', line: 'it is ***.' });
  }
});

test.each([
  ['AbCdEf-GhIj.Example', ['abcdef-ghij.example']],
  ['MÜNCHEN-Straße', ['münchen-straße', new URL('http://MÜNCHEN-Straße').hostname]],
  ['Пароль-Секрет', [new URL('http://Пароль-Секрет').hostname, 'пароль-секрет']],
  ['X-My_Secret~Header', ['x-my_secret~header']],
  ['0x3ade68b1', ['58.222.104.177']],
])('%p is masked as the name of a host or a header', (value, names) => {
  const mask = createMasker([value]);
  for (const name of names) {
    const line = `http://api.${name}.example/`;
    expect(mask.suspects(line)).toBe(true);
    expect(mask.text(line)).toBe('http://api.***.example/');
  }
});

test('a number of few digits is no secret, although a secret makes it', () => {
  const mask = createMasker(['00001234', '1e+00000009', 'a1b2c3d4']);
  const value = { a: 1234, b: 1_000_000_000 };
  expect(mask.value(value)).toBe(value);
});

test.each(['a-secret-of-mine', 'geheimes Wort für "<ämter>"', "it's 'mine' & yours"])(
  '%p is masked in other bytes than those of UTF-8, twice in base64, and in HTML within',
  (value) => {
    const mask = createMasker([value]);
    for (const write of Object.values({ ...BYTE_SPELLINGS, ...PLAIN_BYTE_SPELLINGS })) {
      const masked = mask.text(`<${write(value)}>`);
      expect(masked).toMatch(/^<[A-Za-z0-9]{0,7}\*\*\*[A-Za-z0-9]{0,7}=*>$/);
      expect(mask.suspects(JSON.stringify([write(value)]))).toBe(true);
    }
    const latin1 = Buffer.from(value, 'latin1');
    for (const written of [escape(value), latin1.toString('base64'), latin1.toString('hex')])
      expect(mask.text(`<${written}>`)).toMatch(/^<\*\*\*=*>$/);
  },
);

describe('a value', () => {
  test('is masked string by string: numbers and structure stay what they are', () => {
    const mask = createMasker(['8412345678', 'ncanary-tail', 'true-or-false']);
    const value = { at: 841234567, line: '\ncanary-tail', ok: true, none: null, list: [1.5, 'x'] };
    expect(mask.value(value)).toBe(value);
    expect(mask.value({ pin: 8412345678, more: [18412345678.5], text: 'ncanary-tail' })).toEqual({
      pin: '***',
      more: ['***'],
      text: '***',
    });
  });

  test('keeps every member when secrets are keys', () => {
    const mask = createMasker(['first-secret', 'second-secret', 'third-secret']);
    const value = { 'first-secret': 1, '***2': 2, 'second-secret': 3, plain: 4, 'third-secret': 5 };
    expect(Object.entries(mask.value(value) as object)).toEqual([
      ['***', 1],
      ['***2', 2],
      ['***3', 3],
      ['plain', 4],
      ['***4', 5],
    ]);
    const hostile = JSON.parse('{"__proto__":"first-secret"}') as Json;
    expect(JSON.stringify(mask.value(hostile))).toBe('{"__proto__":"***"}');
  });

  test('of many keys that are secrets is masked in one go', () => {
    const mask = createMasker(['a-secret-key']);
    const keys = Array.from(
      { length: 20_000 },
      (_, at) => `${' '.repeat(at % 7)}a-secret-key${'a-secret-key'.repeat(at % 30)}${at % 3}`,
    );
    const value = Object.fromEntries(keys.map((key, at) => [key, at]));
    expect(Object.keys(mask.value(value) as object)).toHaveLength(Object.keys(value).length);
  });

  test('is suspected by its JSON text whenever there is something to mask in it', () => {
    fc.assert(
      fc.property(secret, fc.array(escaping, { maxLength: 3 }), fc.boolean(), (value, names, isKey) => {
        const written = names.reduce((text, name) => ESCAPES[name]!(text), value);
        const json = isKey ? { [written]: 1 } : { a: [written] };
        const mask = createMasker([value, 'another-secret']);
        expect(mask.suspects(JSON.stringify(json))).toBe(true);
        expect(JSON.stringify(mask.value(json))).toBe(isKey ? '{"***":1}' : '{"a":["***"]}');
      }),
      cases(1_000),
    );
  });

  test('that a text was cut in is suspected too', () => {
    const mask = createMasker(['a-secret-of-mine']);
    const details = { body: cutText('xxxxxxxxxxa-secret-of-mine', 24) };
    expect(mask.suspects(JSON.stringify(details))).toBe(true);
    expect(mask.value(details)).toEqual({ body: `xxxxxxxxxx***${CUT_MARK}` });
  });
});

test('hostile texts are read in time that grows with their length alone', () => {
  const secrets = Array.from({ length: 50 }, (_, at) => `${at}-aaaaaaaaaaaaaaaaaaaa-${'b'.repeat(20)}`);
  const mask = createMasker([...secrets, '!!!!!!!!', 'c'.repeat(2_000)]);
  const size = 100_000;
  for (const text of [
    'a',
    '!',
    '\\',
    '%',
    '%41',
    '&#97;',
    '\\\\u0061',
    CUT_MARK,
    `a${CUT_MARK}`,
    `${'a'.repeat(40)}${CUT_MARK}`,
    `${secrets[7]}!`,
    `${'\\'.repeat(10_000)}x${CUT_MARK}`,
    `${'c'.repeat(10_000)}${CUT_MARK}`,
    '&amp;amp;',
    '%25%2525',
  ])
    expect(mask.text(text.repeat(Math.ceil(size / text.length))).length).toBeLessThanOrEqual(size + 200);
});
