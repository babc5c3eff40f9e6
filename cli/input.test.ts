/** The forms of `--input`, as a table, and as a rule: a text never changes on its way. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import type { Json } from '../core/json/json.ts';
import { cases } from '../tests/support/core/cases.ts';
import { UsageError } from './failure.ts';
import { parseInputs } from './input.ts';
import { createTextSource } from './text-source.ts';

const FILES: Readonly<Record<string, string | Uint8Array>> = {
  'note.txt': '# no comment\nfirst line\n  second: line\n\n\n',
  'price.txt': '1.10',
  'inputs.json': '{"orderId":"42","price":1.5}',
  'inputs.YML': '# a comment\norderId: "42"\nitems: [a, b]\n',
  'inputs.yaml': 'folded: one\n  two\n',
  inputs: '{"orderId":"43"}',
  'twice.json': '{"a":1,"a":2}',
  'infinite.json': '{"a":1e999}',
  'marked.json': '\uFEFF{"a":1}',
  'broken.yaml': 'a: [1',
  'two.yaml': 'a: 1\n---\na: 2\n',
  'latin.txt': Uint8Array.of(0x67, 0x72, 0xfc, 0xdf, 0x65),
};
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inputs-'));
  for (const [name, content] of Object.entries(FILES)) await writeFile(join(folder, name), content);
});
afterAll(() => rm(folder, { recursive: true }));

/** `~` stands for the folder of the files above. */
function read(options: readonly string[], standardInput = ''): Promise<Json | undefined> {
  const source = createTextSource(Readable.from([Buffer.from(standardInput)]));
  return parseInputs(
    options.map((option) => option.replace('@~', `@${folder}`)),
    source,
  );
}

describe('a value of --input', () => {
  test.each<[string, Json]>([
    ['Ada', 'Ada'],
    ['', ''],
    [' 3 ', ' 3 '],
    ['3', 3],
    ['-3', -3],
    ['0', 0],
    ['0.5', 0.5],
    ['1e+21', 1e21],
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', '9007199254740993'],
    ['7e12345', '7e12345'],
    ['831877e8', '831877e8'],
    ['1.10', '1.10'],
    ['1.0', '1.0'],
    ['-0', '-0'],
    ['+1', '+1'],
    ['007', '007'],
    ['0x10', '0x10'],
    ['1_000', '1_000'],
    ['.5', '.5'],
    ['NaN', 'NaN'],
    ['Infinity', 'Infinity'],
    ['0.1000000000000000055511151231257827', '0.1000000000000000055511151231257827'],
    ['true', true],
    ['false', false],
    ['null', null],
    ['True', 'True'],
    ['yes', 'yes'],
    ['2027-01-31', '2027-01-31'],
    ['"42"', '42'],
    ['"@ada"', '@ada'],
    ['"half', '"half'],
    ['[1, "two"]', [1, 'two']],
    ['{"deep":{"ok":true}}', { deep: { ok: true } }],
    ['[draft] a title', '[draft] a title'],
    ['{{ mustache }}', '{{ mustache }}'],
    ['a=b=c', 'a=b=c'],
    ['line\nbreak', 'line\nbreak'],
  ])('%j is %j', async (text, value) => {
    expect(await read([`key=${text}`])).toEqual({ key: value });
  });

  test('is text with the same characters, or a constant or number that is printed with them', async () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^-?\d{1,25}(\.\d{1,25})?([eE][+-]?\d{1,5})?$/),
    );
    const plain = texts.filter((text) => !/^[@"[{]/.test(text));
    await fc.assert(
      fc.asyncProperty(plain, async (text) => {
        const { key } = (await read([`key=${text}`])) as { key: Json };
        expect(typeof key === 'string' ? key : JSON.stringify(key)).toBe(text);
      }),
      cases(100),
    );
  });
});

describe('a file of --input', () => {
  test.each<[string, Json]>([
    ['note=@~/note.txt', { note: FILES['note.txt'] as string }],
    ['price=@~/price.txt', { price: '1.10' }],
    ['all=@~/inputs.json', { all: { orderId: '42', price: 1.5 } }],
    ['all=@~/inputs.YML', { all: { orderId: '42', items: ['a', 'b'] } }],
    ['all=@~/inputs.yaml', { all: { folded: 'one two' } }],
    ['all=@~/inputs', { all: '{"orderId":"43"}' }],
    ['all=@~/marked.json', { all: { a: 1 } }],
    ['@~/inputs.json', { orderId: '42', price: 1.5 }],
    ['@~/inputs.YML', { orderId: '42', items: ['a', 'b'] }],
    ['@~/inputs', { orderId: '43' }],
  ])('%s is %j', async (option, value) => {
    expect(await read([option])).toEqual(value);
  });

  test('named - is standard input: JSON as the whole inputs, text as a value', async () => {
    expect(await read(['@-'], '{"orderId":"42"}\n')).toEqual({ orderId: '42' });
    expect(await read(['note=@-'], '# 1.10\n\n')).toEqual({ note: '# 1.10\n\n' });
    await expect(read(['a=@-', 'b=@-'], 'x')).rejects.toThrow('standard input can be read once');
  });
});

test('several inputs are merged in order', async () => {
  expect(await read(['@~/inputs.json', 'orderId=7', '{"more":[1]}'])).toEqual({
    orderId: 7,
    price: 1.5,
    more: [1],
  });
  expect(await read([])).toBeUndefined();
  expect(await read(['[1,2]'])).toEqual([1, 2]);
});

test.each<[string, string]>([
  ['nonsense', 'neither key=value, nor JSON, nor @file'],
  ['=1', 'neither key=value'],
  ['{"a":', 'not valid JSON: at line 1'],
  ['{"a":1,"a":2}', 'twice'],
  ['{"a":1e999}', '/a'],
  ['key={"a":1e999}', '--input key'],
  ['key={"id":9007199254740993}', '/id'],
  ['@~/missing.json', 'missing.json: ENOENT'],
  ['key=@~/twice.json', 'twice'],
  ['@~/infinite.json', '/a'],
  ['@~/note.txt', 'not valid JSON'],
  ['@~/broken.yaml', 'not valid YAML'],
  ['@~/two.yaml', 'second document'],
  ['key=@~/latin.txt', 'not UTF-8'],
])('%s is refused with what is wrong', async (option, problem) => {
  const failure = await read([option]).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(UsageError);
  expect((failure as Error).message).toContain(problem);
});
