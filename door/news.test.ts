import { expect, test } from 'bun:test';
import { readNews } from './news.ts';

test('news name the engine, what is ready or freed, and the executions that ended', () => {
  expect(readNews('from=e1 ready freed ended=a,b')).toEqual({
    from: 'e1',
    ready: true,
    freed: true,
    ended: ['a', 'b'],
  });
});

test('more executions than can be named may be any', () => {
  expect(readNews('from=e1 ended')).toEqual({ from: 'e1', ready: false, freed: false, ended: null });
});

test('a main server that starts executions in SQL says no more than that something is ready', () => {
  expect(readNews('ready')).toEqual({ from: null, ready: true, freed: false, ended: [] });
});

test('an empty or foreign notification says nothing', () => {
  for (const payload of ['', 'readiness unended', '{"ended":true}'])
    expect(readNews(payload)).toEqual({ from: null, ready: false, freed: false, ended: [] });
});
