import { expect, test } from 'bun:test';
import { parseJsonInPieces } from '../core/json/parse-in-pieces.ts';
import { CUT_MARK } from '../core/text/cut.ts';
import { NotStorable, OutputStore } from './output-store.ts';

const store = new OutputStore({ maxDepth: 8, maxBytes: 10_000 }, [
  '8412345678',
  'ncanary-tail',
  'key-one-key',
  'key-two-key',
]);

test('a value without secrets is kept as it is, one with secrets is masked and stays JSON', () => {
  const plain = { at: 1, line: '\ncanary-tail' };
  expect(store.payloadNow(plain).value).toBe(plain);
  const { json, value } = store.payloadNow({
    pin: 8412345678,
    'key-one-key': '\ncanary-tail',
    'key-two-key': 'ncanary-tail',
  });
  expect(JSON.parse(json)).toEqual({ pin: '***', '***': '\ncanary-tail', '***2': '***' });
  expect(value).toEqual(JSON.parse(json));
});

test('text is masked before it is cut, and what cannot be stored of it is gone', () => {
  expect(store.text(`a\u0000b\ud800 ncanary-tail`, 100)).toBe('ab\ufffd ***');
  const cut = store.text(`${'x'.repeat(80)}ncanary-tail`.repeat(3), 90);
  expect(cut).toBe(`${'x'.repeat(80)}***${CUT_MARK}`);
});

test('names of routes are masked', () => {
  expect(store.routes(['a', 'ncanary-tail'])).toEqual(['a', '***']);
});

test('a large value is checked, written and masked as a small one is, while others get their turn', async () => {
  const large = new OutputStore({ maxDepth: 8, maxBytes: 20_000_000 }, ['a1#b2$c3%d4', 'ncanary-tail']);
  const escaped = { text: `${'%255c'.repeat(800_000)} a1%23b2%24c3%25d4` };
  let turns = 0;
  const count = () => {
    turns += 1;
    setImmediate(count);
  };
  count();
  for (const value of [escaped, Array.from({ length: 50_000 }, (_, at) => [at, 'ncanary-tail', { at }])]) {
    const before = turns;
    const payload = large.payload(value);
    expect(payload).toBeInstanceOf(Promise);
    const { json, value: stored } = await payload;
    expect(turns).toBeGreaterThan(before + 1);
    expect(json).toBe(large.payloadNow(value).json);
    expect(JSON.stringify(stored)).toBe(json);
    expect(json).not.toMatch(/canary|a1/);
  }
});

test('a large value that cannot be stored is refused with the same words', async () => {
  const numbers = Array.from({ length: 10_000 }, (_, at) => at);
  for (const value of [['x'.repeat(300_000)], [...numbers, Number.NaN], [...numbers, { a: '\0' }]]) {
    expect(() => store.payloadNow(value)).toThrow(NotStorable);
    const words = (() => {
      try {
        return store.payloadNow(value).json;
      } catch (error) {
        return (error as Error).message;
      }
    })();
    expect(store.payload(value)).rejects.toThrow(words);
  }
});

test('a large value is stored without the line breaks of the text that it was parsed from', async () => {
  const text = JSON.stringify(
    Array.from({ length: 9_000 }, (_, at) => ({ at, 'a b': 'c d' })),
    null,
    2,
  );
  const parsing = parseJsonInPieces(text);
  let step = parsing.next();
  while (step.done !== true) step = parsing.next();
  const roomy = new OutputStore({ maxDepth: 8, maxBytes: 1_000_000 }, ['ncanary-tail']);
  for (const value of [step.value, { within: step.value }])
    expect((await roomy.payload(value)).json).toBe(JSON.stringify(value));
});
