/** Answers that are made of pieces of JSON. */
import { expect, test } from 'bun:test';
import { Hono } from 'hono';
import type { ApiEnv } from './context.ts';
import { answerPieces } from './json-answer.ts';

const MEBI = 1_024 * 1_024;

test.each([
  ['a short one', ['{"a":', '1', '}']],
  ['one of many short pieces', ['[', ...Array.from({ length: 300_000 }, (_, at) => `${at},`), '0]']],
  ['one with a long piece', ['{"a":', JSON.stringify('x'.repeat(3 * MEBI + 7)), ',"b":2}']],
  ['one that is cut among characters of two units', ['{"a":', JSON.stringify(`x${'😀'.repeat(MEBI)}`), '}']],
  [
    'one that is cut among characters of two units, one unit later',
    ['{"a": ', JSON.stringify(`x${'😀'.repeat(MEBI)}`), '}'],
  ],
])('%s arrives whole', async (_, pieces) => {
  const app = new Hono<ApiEnv>().get('/', (c) => answerPieces(c, pieces));
  const response = await app.request('/');
  expect(response.headers.get('content-type')).toBe('application/json');
  expect((await response.text()) === pieces.join('')).toBe(true);
});
