/** The command line with servers that are not engines, networks that fail, and readers that go away. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { CLI_MAIN, runCli } from '../tests/support/cli.ts';

// Every command is a process, and a busy machine starts them slowly.
const ID = '11111111-1111-1111-1111-111111111111';
const open: Server[] = [];
afterAll(() => {
  for (const server of open) server.close();
});

async function listen(server: Server, host = '127.0.0.1'): Promise<string> {
  server.listen(0, host);
  await once(server, 'listening');
  server.unref();
  open.push(server);
  const { port } = server.address() as AddressInfo;
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

const web = (listener: RequestListener) => listen(createServer(listener));
const answers = (body: string, type = 'application/json', status = 200) =>
  web((_, response) => void response.writeHead(status, { 'content-type': type }).end(body));

const COMMANDS: readonly (readonly string[])[] = [
  ['list'],
  ['list', '-o', 'json'],
  ['status', ID],
  ['stop', ID],
  ['cancel', ID],
  ['templates'],
  ['show', 'hello'],
  ['archive', 'hello'],
  ['start', 'hello'],
  ['start', 'hello', '--wait'],
  ['doctor'],
  ['doctor', '--repair'],
];

test('every command tells a server that is no engine in a sentence', async () => {
  const url = `http://${await answers('{"of":"another kind"}')}`;
  const ends = await Promise.all(COMMANDS.map((command) => runCli([...command, '--url', url])));
  for (const [at, { code, out, err }] of ends.entries()) {
    expect([COMMANDS[at], code, out]).toEqual([COMMANDS[at], 5, '']);
    expect(err).toStartWith(
      `error: No engine answers at ${url}: what is there answers 200 with something else: `,
    );
    expect(err.split('\n')).toEqual([
      expect.any(String),
      expect.stringMatching(/^Something else answers there/),
      '',
    ]);
  }
});

test('what an engine says moves no terminal, and the key that was given is never shown', async () => {
  const key = 'a-key-of-sixteen-and-more';
  const hostile = `x\u001b[31m\u001b[2J\u202e\u2028${key} ${Buffer.from(`user:${key}`).toString('base64')}`;
  const problem = JSON.stringify({
    status: 404,
    code: 'execution_not_found',
    title: 't',
    detail: hostile,
    errors: [],
  });
  const item = {
    execution_id: ID,
    status: 'failed',
    template: hostile,
    version: 1,
    tags: [hostile],
    error: null,
  };
  const list = { data: [{ ...item, created_at: hostile, completed_at: null }], next_cursor: hostile };
  const good = `http://${await answers(JSON.stringify(list))}`;
  const bad = `http://${await answers(problem, 'application/problem+json', 404)}`;
  const ends = await Promise.all([
    runCli(['list', '--url', good, '--token', key]),
    runCli(['list', '--url', good, '-o', 'json'], { env: { EXECUTION_ENGINE_TOKEN: key } }),
    runCli(['status', ID, '--url', bad, '--token', key]),
    runCli([`--\u202e=${hostile}`]),
  ]);
  for (const { out, err } of ends) {
    expect(/(?!\n)[\p{Cc}\p{Zl}\p{Bidi_Control}]/u.test(out + err)).toBe(false);
    expect(out + err).toContain('\\u202e');
  }
  for (const { out, err } of ends.slice(0, 3)) expect(out + err).not.toContain('sixteen');
  for (const { out, err } of ends.slice(0, 3))
    expect(out + err).not.toContain(Buffer.from(key).toString('base64').slice(2, -4));
  expect(JSON.parse(ends[1]!.out).data[0].tags[0]).toBe('x\u001b[31m\u001b[2J\u202e\u2028*** dXNlcj***');
  const url = 'http://ada:p4ssw0rd@localhost';
  for (const args of [
    ['list', '--url', url],
    ['list', '--url', `${url}:no/port`],
    ['list', `--ulr=${url}`],
  ])
    expect(await runCli(args)).toMatchObject({ code: 2, err: expect.not.stringContaining('p4ssw0rd') });
});

test('IPv6 addresses are reached', async () => {
  const address = await listen(
    createServer((_, response) => {
      response.setHeader('content-type', 'application/json');
      response.end('{"data":[],"next_cursor":null}');
    }),
    '::1',
  );
  expect(await runCli(['list', '--url', `http://${address}`])).toMatchObject({ code: 0, err: '' });
});

describe('a proxy of the environment', () => {
  const asked: string[] = [];
  let proxy: string;
  beforeAll(async () => {
    proxy = await web(({ url }, response) => {
      asked.push(url!);
      response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>no way</h1>');
    });
  });

  test.each(['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'])(
    'is never asked for loopback, though %s names it',
    async (name) => {
      const [, port] = (await answers('{"data":[],"next_cursor":null}')).split(':');
      const env = { [name]: `http://${proxy}`, no_proxy: 'other.example' };
      for (const host of ['127.0.0.1', 'localhost', '127.0.0.2', '[::ffff:127.0.0.1]']) {
        const { err } = await runCli(['list', '--url', `http://${host}:${port}`], { env });
        expect(err).not.toContain('502');
      }
      expect((await runCli(['list', '--url', `http://127.0.0.1:${port}`], { env })).code).toBe(0);
      expect(asked).toEqual([]);
    },
  );

  test('is asked for other hosts', async () => {
    const url = 'http://engine.invalid';
    const { err } = await runCli(['list', '--url', url, '--patience', '0'], {
      env: { HTTP_PROXY: `http://${proxy}` },
    });
    expect(err).toContain('answers 502 text/html');
    expect(asked).toEqual([`${url}/admin/executions`]);
  });
});

const ITEM = {
  execution_id: ID,
  status: 'running',
  template: 'hello',
  version: 1,
  workspace_id: null,
  user_id: null,
  tags: [],
  error: null,
  created_at: '2027-01-31T08:00:00.000Z',
  started_at: null,
  completed_at: null,
};

describe('a reader', () => {
  const item = { ...ITEM, tags: ['x'.repeat(100)] };
  const many = JSON.stringify({ data: Array.from({ length: 5_000 }, () => item), next_cursor: null });

  /** Exit code of the command, and the output of both processes, in `command > file` or `command | reader`. */
  async function piped(args: readonly string[], to: string): Promise<{ code: number; text: string }> {
    const script = `"$0" "$@" ${to}; echo "code \${PIPESTATUS[0]}"`;
    const child = spawn('bash', ['-c', script, process.execPath, CLI_MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH ?? '' },
    });
    let text = '';
    child.stdout.on('data', (chunk) => (text += chunk));
    child.stderr.on('data', (chunk) => (text += chunk));
    await once(child, 'close');
    return { code: Number(/code (\d+)\n/.exec(text)?.[1]), text };
  }

  test.each(['| head -n 1', '| true'])('that goes away ends the output quietly: %s', async (reader) => {
    const url = `http://${await answers(many)}`;
    for (const format of ['json', 'table']) {
      const { code, text } = await piped(['list', '-o', format, '--url', url], reader);
      expect([format, code]).toEqual([format, 0]);
      expect(text).not.toMatch(/EPIPE|error|at .*:\d+/);
    }
  });

  test('of standard error that goes away does not end the command', async () => {
    const { code, text } = await piped(['list', '--url', 'http://127.0.0.1:9'], '2>&1 | true');
    expect(code).toBe(5);
    expect(text).not.toContain('EPIPE');
  });

  test('that takes everything gets everything', async () => {
    const url = `http://${await answers(many)}`;
    const { text } = await piped(['list', '-o', 'json', '--url', url], '| wc -c');
    expect(Number.parseInt(text, 10)).toBe(JSON.stringify(JSON.parse(many), null, 2).length + 1);
  });

  test.skipIf(process.platform !== 'linux')('without room is told as an error', async () => {
    const url = `http://${await answers(many)}`;
    const { code, text } = await piped(['list', '-o', 'json', '--url', url], '> /dev/full');
    expect([code, text.split('\n')[0]]).toEqual([1, 'error: the output cannot be written: ENOSPC']);
  });
});
