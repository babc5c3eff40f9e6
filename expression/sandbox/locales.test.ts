import { afterAll, describe, expect, test } from 'bun:test';
import { createSandbox } from './sandbox.ts';

const sandbox = createSandbox({ size: 1 });
afterAll(() => sandbox.close());

const CALL = { timeoutMs: 20_000, memoryBytes: 32 * 1024 * 1024 };
const FORMS: readonly [value: string, call: (args: string) => string, instead: string][] = [
  ['new Date(0)', (args) => `toLocaleString(${args})`, 'toISOString()'],
  ['new Date(0)', (args) => `toLocaleDateString(${args})`, 'toISOString()'],
  ['new Date(0)', (args) => `toLocaleTimeString(${args})`, 'toISOString()'],
  ['(1234.5)', (args) => `toLocaleString(${args})`, 'toFixed()'],
  ['10n', (args) => `toLocaleString(${args})`, 'toString()'],
  ['[1234.5]', (args) => `toLocaleString(${args})`, 'join()'],
  ['new Uint8Array([1, 2])', (args) => `toLocaleString(${args})`, 'join()'],
  ['"I"', (args) => `toLocaleLowerCase(${args})`, 'toLowerCase()'],
  ['"i"', (args) => `toLocaleUpperCase(${args})`, 'toUpperCase()'],
  [
    '"a"',
    (args) => `localeCompare("b"${args === '' ? '' : `, ${args}`})`,
    'localeCompare() with one argument',
  ],
];
const GIVEN = [
  '"en-US"',
  '"de"',
  '["tr"]',
  'undefined, { timeZone: "Europe/Berlin" }',
  '"en-US", { style: "percent" }',
];

/** An expression for what becomes of each source: its value, or the message of its error. */
const allOf = (sources: readonly string[]) =>
  `[${sources.map((source) => `() => ${source}`)}].map((each) => { try { return { value: each() } } catch ({ message }) { return { message } } })`;

describe.each(FORMS)('%s', (value, call, instead) => {
  test(`${call('…')} refuses locales and options`, async () => {
    const source = allOf(GIVEN.map((args) => `${value}.${call(args)}`));
    const ends = [
      await sandbox.evaluate(source, {}),
      await sandbox.runScript(`return ${source}`, null, CALL),
    ];
    for (const end of ends) {
      expect(end).toEqual(
        GIVEN.map(() => ({ message: expect.stringContaining('takes no locale and no options here') })),
      );
      expect(end).toEqual(GIVEN.map(() => ({ message: expect.stringContaining(instead) })));
    }
  });

  test(`${call('')} works, and does not show in what is enumerated`, async () => {
    expect(['string', 'number']).toContain(
      (await sandbox.evaluate(`typeof ${value}.${call('')}`, {})) as string,
    );
    expect(await sandbox.evaluate(`typeof ${value}.${call('undefined')}`, {})).toBeString();
    const names = `(() => { const found = []; for (const name in Object(${value})) found.push(name); return found })()`;
    expect((await sandbox.evaluate(names, {})) as string[]).not.toContain(call('').replace(/\(.*/, ''));
  });
});

test('no other method of a built-in object takes a locale', async () => {
  const source = `(() => {
    const found = [];
    for (const type of [Object, Array, String, Number, BigInt, Boolean, Date, RegExp, Symbol, Promise, Map, Set, Int8Array])
      for (let holder = type.prototype; holder !== null; holder = Object.getPrototypeOf(holder))
        for (const name of Object.getOwnPropertyNames(holder))
          if (/locale/i.test(name)) found.push(type.name + '.' + name);
    return [...new Set(found)];
  })()`;
  const methods = (await sandbox.evaluate(source, {})) as string[];
  const refused = ['Date', 'Number', 'BigInt', 'Array', 'Int8Array', 'String'];
  // The method of Object.prototype is toString() by another name, and takes no arguments by its definition.
  const own = methods.filter(
    (name) => !name.endsWith('.toLocaleString') || refused.includes(name.split('.')[0]!),
  );
  expect(own.toSorted()).toEqual([
    'Array.toLocaleString',
    'BigInt.toLocaleString',
    'Date.toLocaleDateString',
    'Date.toLocaleString',
    'Date.toLocaleTimeString',
    'Int8Array.toLocaleString',
    'Number.toLocaleString',
    'String.localeCompare',
    'String.toLocaleLowerCase',
    'String.toLocaleString',
    'String.toLocaleUpperCase',
  ]);
  expect(await sandbox.evaluate('typeof Intl', {})).toBe('undefined');
});
