import { expect, test } from 'bun:test';
import { OutageLog } from './outage-log.ts';

function outages() {
  const lines: { level: string; msg: string; fields: Record<string, unknown> }[] = [];
  const written = (level: string) => (fields: Record<string, unknown>, msg: string) =>
    void lines.push({ level, msg, fields });
  const log = { error: written('error'), info: written('info') };
  let now = 0;
  let due: { at: number; callback: () => void }[] = [];
  const outage = new OutageLog({
    log: log as never,
    message: 'Away',
    endMessage: 'Back',
    database: 'host:1/name',
    now: () => now,
    after: (ms, callback) => void due.push({ at: now + ms, callback }),
  });
  return {
    outage,
    lines,
    said: () => lines.map(({ level, msg }) => `${level}: ${msg}`),
    at: (ms: number) => {
      now = ms;
      const fired = due.filter(({ at }) => at <= now);
      due = due.filter(({ at }) => at > now);
      for (const { callback } of fired) callback();
    },
  };
}

const DRIVER = [
  'Query read timeout',
  'timeout expired',
  'timeout exceeded when trying to connect',
  'Connection terminated due to connection timeout',
];

test('one outage is one kind, whatever its errors say, and ends with one line', () => {
  const { outage, lines, said, at } = outages();
  for (const message of DRIVER) outage.failed(new Error(message));
  expect(said()).toEqual(['error: Away']);
  expect(lines[0]!.fields).toEqual({ database: 'host:1/name', reason: 'Query read timeout' });
  at(10_000);
  expect(said().at(-1)).toBe('error: Away: 3 times more in the last 10 s');
  outage.failed(Object.assign(new Error('gone'), { code: '57P01' }));
  at(13_000);
  outage.answered();
  at(14_000);
  outage.answered();
  outage.answered();
  expect(said().slice(2)).toEqual(['info: Back, after 13.0 s']);
  expect(lines[2]!.fields).toEqual({ database: 'host:1/name', repeated: 1 });
  at(60_000);
  expect(lines).toHaveLength(3);
});

test('a database that answers now and then is away until it answers twice in a row', () => {
  const { outage, said, at } = outages();
  for (let ms = 0; ms <= 9_000; ms += 1_000) {
    at(ms);
    outage.failed(new Error('too many clients'));
    outage.answered();
  }
  expect(said()).toEqual(['error: Away']);
  outage.answered();
  expect(said().slice(1)).toEqual(['info: Back, after 9.0 s']);
});

test('outages that follow each other quickly stay two lines every 10 s, and none ends with an error', () => {
  const { outage, said, at } = outages();
  for (let ms = 0; ms < 60_000; ms += 100) {
    at(ms);
    outage.failed(new Error('x'));
    outage.answered();
    outage.answered();
  }
  expect(said().length).toBeLessThanOrEqual(12);
  expect(said().at(-1)).toStartWith('info: Back');
});

test('an outage that goes on after a quiet moment is told when its line is due', () => {
  const { outage, said, at } = outages();
  outage.failed(new Error('x'));
  outage.answered();
  outage.answered();
  at(1_000);
  outage.failed(new Error('y'));
  expect(said()).toHaveLength(2);
  at(10_000);
  expect(said().slice(2)).toEqual(['error: Away']);
});
