import { expect, test } from 'bun:test';
import { CUT_MARK } from '../core/text/cut.ts';
import { OutputStore } from './output-store.ts';

const store = new OutputStore({ maxDepth: 8, maxBytes: 10_000 }, [
  '8412345678',
  'ncanary-tail',
  'key-one-key',
  'key-two-key',
]);

test('a value without secrets is kept as it is, one with secrets is masked and stays JSON', () => {
  const plain = { at: 1, line: '\ncanary-tail' };
  expect(store.payload(plain).value).toBe(plain);
  const { json, value } = store.payload({
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
