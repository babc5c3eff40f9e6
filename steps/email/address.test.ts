import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { parseAddress } from './address.ts';

describe('a mail address', () => {
  test.each([
    ['ada@example.com', '', 'ada@example.com'],
    ['  ada@example.com ', '', 'ada@example.com'],
    ['<ada@example.com>', '', 'ada@example.com'],
    ['Ada <ada@example.com>', 'Ada', 'ada@example.com'],
    ['Ada Lovelace<ada@example.com>', 'Ada Lovelace', 'ada@example.com'],
    ['"Lovelace, Ada" <ada@example.com>', 'Lovelace, Ada', 'ada@example.com'],
    ['"A \\"d\\" a" <ada@example.com>', 'A "d" a', 'ada@example.com'],
    ['Ärzte <post@bücher.example>', 'Ärzte', 'post@bücher.example'],
    ["o'neil+tag@mail.example.co.uk", '', "o'neil+tag@mail.example.co.uk"],
    ['root@localhost', '', 'root@localhost'],
  ])('%j is one', (text, name, address) => {
    expect(parseAddress(text)).toEqual({ name, address });
  });

  test.each([
    '',
    'ada',
    '@example.com',
    'ada@',
    'ada@example.com, bob@example.com',
    'ada@example.com bob@example.com',
    'ada,bob@example.com',
    'Ada, Bob <bob@example.com>',
    'ada@example.com, Bob <bob@example.com>',
    'ada@evil.example <bob@example.com>',
    '"ada@evil.example x"@example.com',
    'ada@exa mple.com',
    'ada@example.com\r\nBcc: eve@example.com',
    'Ada\r\nBcc: eve@example.com <ada@example.com>',
    'ada@-example.com',
    'ada@example..com',
    'ada@[127.0.0.1]',
    'group: ada@example.com;',
    'ada@example.com>',
    '<ada@example.com',
    `${'a'.repeat(65)}@example.com`,
    `ada@${'a'.repeat(64)}.com`,
    'x'.repeat(10_000),
  ])('%j is none', (text) => {
    expect(parseAddress(text)).toBeNull();
  });

  test('has no line break and no second address, whatever the text', () => {
    const text = fc.string({ unit: fc.constantFrom(...'a1@.<>",;: \r\n\\'), maxLength: 30 });
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          fc.tuple(text, text).map(([name, rest]) => `${name}<a@${rest}>`),
        ),
        (given) => {
          const found = parseAddress(given);
          if (found === null) return true;
          return !/[\r\n]/.test(found.name) && /^[^@\s<>,;"]+@[^@\s<>,;"]+$/.test(found.address);
        },
      ),
      cases(2_000),
    );
  });
});
