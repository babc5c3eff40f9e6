import { describe, expect, test } from 'bun:test';
import { createErrorReporter, createLog } from './log.ts';

function capture(options: { secrets?: string[]; pretty?: boolean } = {}) {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const log = createLog({ level: 'info', pretty: false, secrets: [], destination, ...options });
  return { log, lines };
}

describe('a line', () => {
  test('is one JSON object with level, time and message', () => {
    const { log, lines } = capture();
    log.info({ execution_id: 'x' }, 'started');
    log.debug('not asked for');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'info', msg: 'started', execution_id: 'x' });
    expect(JSON.parse(lines[0]!).time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  });

  test('tells an error with all its causes', () => {
    const { log, lines } = capture();
    log.error(
      { err: new Error('outer', { cause: new Error('middle', { cause: new Error('root') }) }) },
      'failed',
    );
    const { err } = JSON.parse(lines[0]!);
    expect(err).toMatchObject({ message: 'outer', cause: { message: 'middle', cause: { message: 'root' } } });
    expect(err.stack).toContain('log.test.ts');
  });

  test('is for people when asked', () => {
    const { log, lines } = capture({ pretty: true, secrets: ['hunter2hunter2'] });
    log.warn({ password: 'hunter2hunter2' }, 'slow');
    expect(lines.join('')).toContain('slow');
    expect(lines.join('')).not.toContain('hunter2');
  });
});

describe('a secret', () => {
  test('is masked in fields, keys, messages and stacks, and the line stays JSON', () => {
    const secret = 'pa"ss\nwörd\\123';
    const { log, lines } = capture({ secrets: [secret] });
    const err = new Error(`login with ${secret} refused`, { cause: new Error(secret) });
    log.error(
      {
        err,
        deep: [{ url: `postgres://u:${encodeURIComponent(secret)}@h/d` }],
        [secret]: 1,
        body: JSON.stringify({ secret }),
      },
      secret,
    );
    const text = JSON.stringify(JSON.parse(lines[0]!));
    expect(text).not.toMatch(/ss\\nw|wörd|w%C3%B6rd/);
    expect(JSON.parse(lines[0]!).msg).toBe('***');
  });

  test('that begins with another one is masked whole', () => {
    const { log, lines } = capture({ secrets: ['abcdefgh', 'abcdefgh-and-more'] });
    log.info('abcdefgh-and-more');
    expect(JSON.parse(lines[0]!).msg).toBe('***');
  });

  test('that is empty masks nothing', () => {
    const { log, lines } = capture({ secrets: [''] });
    log.info('plain');
    expect(JSON.parse(lines[0]!).msg).toBe('plain');
  });
});

describe('an error that repeats', () => {
  test('is written once per period, with the number of those left out', () => {
    const { log, lines } = capture();
    let now = 0;
    const report = createErrorReporter(log, { everyMs: 1_000, now: () => now });
    for (const at of [0, 1, 999]) {
      now = at;
      report('database', new Error('away'), 'cannot claim', { queue: 'q' });
    }
    report('other', new Error('else'), 'cannot rescue');
    now = 1_000;
    report('database', new Error('away'), 'cannot claim');
    const written = lines.map((line) => JSON.parse(line)).map(({ msg, repeated }) => [msg, repeated]);
    expect(written).toEqual([
      ['cannot claim', undefined],
      ['cannot rescue', undefined],
      ['cannot claim', 2],
    ]);
    expect(JSON.parse(lines[0]!)).toMatchObject({ queue: 'q', err: { message: 'away' } });
  });

  test('keeps a bounded number of keys', () => {
    const { log, lines } = capture();
    const report = createErrorReporter(log, { everyMs: 1_000, now: () => 0 });
    for (let key = 0; key < 3_000; key++) report(`key-${key}`, new Error('x'), 'x');
    expect(lines).toHaveLength(3_000);
  });
});
