import { expect, test } from 'bun:test';
import { readNotification } from './notification.ts';

test('a notification names the engine, what is ready or freed, views with news, and the executions that ended', () => {
  expect(readNotification('from=e1 ready freed mail=e,e/h[3] ended=a,b')).toEqual({
    from: 'e1',
    ready: true,
    freed: true,
    mail: ['e', 'e/h[3]'],
    ended: ['a', 'b'],
  });
});

test('more executions than can be named may be any', () => {
  const said = { from: 'e1', ready: false, freed: false, mail: [], ended: null };
  expect(readNotification('from=e1 ended')).toEqual(said);
});

test('a main server that starts executions in SQL says no more than that something is ready', () => {
  const said = { from: null, ready: true, freed: false, mail: [], ended: [] };
  expect(readNotification('ready')).toEqual(said);
});

test('an empty or foreign notification says nothing', () => {
  const said = { from: null, ready: false, freed: false, mail: [], ended: [] };
  for (const payload of ['', 'readiness unended', '{"ended":true}'])
    expect(readNotification(payload)).toEqual(said);
});
