import { expect, test } from 'bun:test';
import { readNotification } from './notification.ts';

test('a notification names the engine, what is ready or freed, and the executions that ended', () => {
  expect(readNotification('from=e1 ready freed ended=a,b')).toEqual({
    from: 'e1',
    ready: true,
    freed: true,
    ended: ['a', 'b'],
  });
});

test('more executions than can be named may be any', () => {
  expect(readNotification('from=e1 ended')).toEqual({ from: 'e1', ready: false, freed: false, ended: null });
});

test('a main server that starts executions in SQL says no more than that something is ready', () => {
  expect(readNotification('ready')).toEqual({ from: null, ready: true, freed: false, ended: [] });
});

test('an empty or foreign notification says nothing', () => {
  for (const payload of ['', 'readiness unended', '{"ended":true}'])
    expect(readNotification(payload)).toEqual({ from: null, ready: false, freed: false, ended: [] });
});
