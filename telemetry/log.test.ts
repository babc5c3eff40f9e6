import { describe, expect, test } from 'bun:test';
import { cutText } from '../core/text/cut.ts';
import { createErrorReporter, createLog, errorKey } from './log.ts';
import { MAX_LOG_LINE_LENGTH, MAX_LOG_TEXT_LENGTH } from './log-line.ts';

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

  test('tells the name of an error that another process had thrown', () => {
    const { log, lines } = capture();
    log.info(
      { err: Object.defineProperty(new Error('x'), 'name', { value: 'TypeError' }) },
      'A handler threw',
    );
    expect(JSON.parse(lines[0]!).err).toMatchObject({ type: 'TypeError', message: 'x' });
  });

  test('tells what an error says and not the objects that hang on it', () => {
    class Client {
      secretKey = 862_798_382;
    }
    const cause = Object.assign(new Error('gone'), { client: new Client(), code: '57P01' });
    const details = { limit: 3 };
    const err = Object.assign(new Error('failed', { cause }), { client: new Client(), details });
    const { log, lines } = capture();
    log.error({ err }, 'failed');
    expect(JSON.parse(lines[0]!).err).toMatchObject({ details, cause: { message: 'gone', code: '57P01' } });
    expect(lines[0]).not.toContain('secretKey');
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

describe('what a line may hold', () => {
  test('is bounded: a long text is cut after its secrets are masked, and a long line says what it left out', () => {
    const secret = 'a-secret-of-the-engine';
    const { log, lines } = capture({ secrets: [secret] });
    const long = `${'x'.repeat(MAX_LOG_TEXT_LENGTH - 10)}${secret}${'y'.repeat(900_000)}`;
    log.info({ long }, long);
    log.info({ execution: 'e-1', many: Array.from({ length: 100 }, () => '\u2028'.repeat(2_000)) }, 'many');
    log.info({ ['k'.repeat(900_000)]: 1 }, 'a long name');
    for (const line of lines) {
      expect(line.length).toBeLessThanOrEqual(MAX_LOG_LINE_LENGTH + 1);
      expect(line).not.toContain('a-secr');
    }
    const [texts, many] = lines.map((line) => JSON.parse(line));
    expect([texts.msg, texts.long].map((text) => text.slice(-15))).toEqual([
      'xxxxx***… [cut]',
      'xxxxx***… [cut]',
    ]);
    expect(many).toMatchObject({
      level: 'info',
      execution: 'e-1',
      msg: 'many',
      rest: expect.stringContaining('many'),
    });
  });

  test.each(['\u0007\u009b', '\u2028\u2029', '\u202e\u2066', '\u200b\ufeff', '\u{e0041}'])(
    'is visible: %j goes as an escape, and reads as it was',
    (text) => {
      const { log, lines } = capture();
      log.info({ [text]: text, err: new Error(text) }, text);
      expect(lines[0]!.trimEnd()).toMatch(/^[ -~]*$/);
      expect(JSON.parse(lines[0]!)).toMatchObject({ msg: text, [text]: text, err: { message: text } });
    },
  );

  test('moves nothing on a terminal', () => {
    const { log, lines } = capture({ pretty: true });
    const hostile = 'a\n[12:00:00] INFO: forged\u001b[2J\u202e\u2028';
    log.error({ err: new Error(hostile), [hostile]: hostile }, hostile);
    const text = lines.join('');
    expect(/[\p{Bidi_Control}\p{Zl}]/u.test(text)).toBe(false);
    expect(text).not.toContain('\u001b');
    expect(text).not.toContain('\n[12:00');
    expect(text).toContain('a\\n[12:00:00] INFO: forged\\u001b[2J\\u202e\\u2028');
  });

  test('is no password of a URL', () => {
    const { log, lines } = capture();
    const url = 'postgres://me:p4ss#w/d@db/app';
    log.error({ err: Object.assign(new Error(`"${url}" is no URL`), { input: url }), url }, url);
    expect(lines[0]).not.toContain('p4ss');
    expect(JSON.parse(lines[0]!)).toMatchObject({
      msg: 'postgres://***@db/app',
      err: { input: 'postgres://***@db/app' },
    });
  });

  test('is no password of a URL that was cut, nor a secret in a line of megabytes', () => {
    const { log, lines } = capture({ secrets: ['a-secret-of-the-engine'] });
    log.info(cutText('see postgres://me:p4ss-and-more@db/app', 25));
    const fields = Array.from({ length: 300 }, (_, at) => [
      `f${at}`,
      `${at} a-secret-of-the-engine`.repeat(100),
    ]);
    log.info(Object.fromEntries(fields), `${'x'.repeat(1_990)}a-secret-of-the-engine`);
    expect(JSON.parse(lines[0]!).msg).toBe('see postgres://***… [cut]');
    expect(lines[1]).not.toContain('a-secr');
    expect(lines[1]!.length).toBeLessThanOrEqual(MAX_LOG_LINE_LENGTH + 1);
  });
});

describe('an error that repeats', () => {
  /** A reporter whose periods end when the test says. */
  function reporter() {
    const { log, lines } = capture();
    let ends: (() => void)[] = [];
    const report = createErrorReporter(log, { everyMs: 10_000, after: (_ms, end) => ends.push(end) });
    return {
      report,
      lines: () => lines.map((line) => JSON.parse(line)),
      endPeriod: () => {
        const ended = ends;
        ends = [];
        for (const end of ended) end();
      },
      periods: () => ends.length,
    };
  }

  test('is written at once, and then once per period with how often it came', () => {
    const { report, lines, endPeriod, periods } = reporter();
    for (let time = 0; time < 312; time++)
      report('database', new Error('away'), 'Cannot claim', { queue: 'q' });
    report('other', new Error('else'), 'Cannot rescue');
    expect(lines().map(({ msg }) => msg)).toEqual(['Cannot claim', 'Cannot rescue']);
    expect(lines()[0]).toMatchObject({ queue: 'q', err: { message: 'away' } });
    endPeriod();
    expect(lines()[2]).toMatchObject({
      msg: 'Cannot claim: 311 times more in the last 10 s',
      repeated: 311,
      err: { message: 'away' },
    });
    report('database', new Error('away'), 'Cannot claim');
    endPeriod();
    expect(lines()[3]).toMatchObject({ repeated: 1 });
    expect(lines()).toHaveLength(4);
    endPeriod();
    expect(periods()).toBe(0);
    report('database', new Error('away'), 'Cannot claim');
    expect(lines()[4]!.msg).toBe('Cannot claim');
  });

  test('is counted with others when there are too many kinds of them', () => {
    const { report, lines, endPeriod } = reporter();
    for (let key = 0; key < 3_000; key++) report(`key-${key}`, new Error('x'), 'x');
    expect(lines()).toHaveLength(21);
    endPeriod();
    expect(lines()).toHaveLength(22);
    expect(lines()[21]).toMatchObject({ repeated: 3_000 - 21 });
  });

  test('is the same when only its numbers differ', () => {
    expect(errorKey(new Error('port 5432 is closed'))).toBe(errorKey(new Error('port 5433 is closed')));
    expect(errorKey(Object.assign(new Error('a'), { code: '57P01' }))).toBe('57P01');
    expect(errorKey(undefined)).toBe('undefined');
  });
});
