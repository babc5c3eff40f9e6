/**
 * The command line as a process against a real engine: exit codes, what goes to stdout, what goes to stderr.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EngineDatabase, engineDatabase, startTestEngine, type TestEngine } from '../support/engine.ts';
import { assertInvariants } from '../support/invariants.ts';

// Every command is a process; a busy machine starts them slowly.
setDefaultTimeout(60_000);

const MAIN = join(import.meta.dir, '..', '..', 'cli', 'main.ts');
const KEY = 'key-of-the-whole-engine';
const UNKNOWN = '11111111-1111-4111-8111-111111111111';

const FILES: Readonly<Record<string, string>> = {
  'greet.yaml': `
name: greet
input: { type: object, required: [name], properties: { name: { type: string }, times: { type: integer } } }
output: \${{ steps.words.output }}
steps:
  hello: { type: transform, with: { value: "Hello \${{ input.name }}" } }
  bye: { type: transform, needs: [hello], with: { value: [ "\${{ input.times }}", bye ] } }
  words: { type: merge, needs: [hello, bye], with: { mode: collect } }
`,
  'failing.json': JSON.stringify({
    name: 'failing',
    steps: {
      first: { type: 'noop' },
      bad: { type: 'fail', needs: ['first'], with: { code: 'no_stock', message: 'none left' } },
    },
  }),
  'wrong.yaml': 'name: wrong\nsteps:\n  a: { type: nope }\n  b: { type: noop, needs: [aa] }\n',
  'broken.yaml': 'name: broken\nsteps:\n\ta: 1\n',
  'held.yaml':
    'name: held\nsteps:\n  wait: { type: gate, with: { name: cli } }\n  after: { type: noop, needs: [wait] }\n',
};

let database: EngineDatabase;
let engine: TestEngine;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'execution-engine-cli-'));
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(directory, name), text);
  database = await engineDatabase();
  engine = await startTestEngine({
    url: database.url,
    config: { EXECUTION_ENGINE_API_KEYS: `${KEY}=admin` },
    token: KEY,
  });
});

afterAll(async () => {
  await assertInvariants(database.url, { allFinal: false });
  await engine.stop();
  await database.drop();
  await rm(directory, { recursive: true, force: true });
});

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function cli(args: readonly string[], env: Record<string, string> = {}, stdin = ''): Promise<Ended> {
  const child = Bun.spawn([process.execPath, MAIN, ...args], {
    cwd: directory,
    env: {
      PATH: process.env.PATH ?? '',
      EXECUTION_ENGINE_URL: engine.url,
      EXECUTION_ENGINE_TOKEN: KEY,
      ...env,
    },
    stdin: new Blob([stdin]),
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

const uuidIn = (text: string) => /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(text)![0];

describe('validate', () => {
  test('of a good file ends 0 and publishes nothing', async () => {
    expect(await cli(['validate', 'greet.yaml'])).toEqual({ code: 0, out: 'greet.yaml is valid\n', err: '' });
    expect((await engine.client.listTemplates()).data.map(({ name }) => name)).not.toContain('greet');
  });

  test('of a bad file ends 1 and names every problem with its line', async () => {
    const { code, out, err } = await cli(['validate', 'wrong.yaml']);
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/wrong\.yaml:\/steps\/a\/type unknown_step_type .*\(line 3\)/);
    expect(err).toMatch(/wrong\.yaml:\/steps\/b\/needs\S* \w+ .*"a".*\(line 4\)/);
  });

  test('of what is no YAML, or no file at all, ends badly and says where', async () => {
    const broken = await cli(['validate', 'broken.yaml']);
    expect([broken.code, broken.out]).toEqual([1, '']);
    expect(broken.err).toContain('line 3');
    const missing = await cli(['validate', 'nobody.yaml']);
    expect([missing.code, missing.err]).toEqual([2, 'error: cannot read nobody.yaml: ENOENT\n']);
  });

  test('as JSON is the answer of the engine', async () => {
    const { code, out } = await cli(['validate', 'wrong.yaml', '-o', 'json']);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ valid: false, errors: [{ pointer: '/steps/a/type' }, {}] });
  });
});

describe('publish', () => {
  test('makes a version once, from a file or from stdin, and refuses what is wrong', async () => {
    const text = 'name: published\nsteps: { a: { type: noop } }\n';
    const out = (line: string) => ({ code: 0, out: `${line}\n`, err: '' });
    expect(await cli(['publish', '-'], {}, text)).toEqual(out('published published version 1, 1 steps'));
    expect(await cli(['publish', '-'], {}, text)).toEqual(out('unchanged: published version 1, 1 steps'));
    const json = '{"name":"published","steps":{"a":{"type":"noop"},"b":{"type":"noop"}}}';
    expect(await cli(['publish', '-'], {}, json)).toEqual(out('published published version 2, 2 steps'));
    expect((await engine.client.getTemplate('published')).version).toBe(2);
    expect((await cli(['publish', 'wrong.yaml'])).code).toBe(1);
    expect((await engine.request('GET', '/api/v1/templates/wrong')).status).toBe(404);
  });
});

describe('run', () => {
  test('to completion ends 0, with nothing but the outputs on stdout', async () => {
    const { code, out, err } = await cli(['run', 'greet.yaml', '--input', 'name=Ada', '--input', 'times=2']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({ hello: 'Hello Ada', bye: [2, 'bye'] });
    expect(err).toContain('published greet version 1, 3 steps');
    for (const line of ['completed hello', 'completed bye', 'completed words']) expect(err).toContain(line);
    const status = await engine.client.status(uuidIn(err));
    expect(status).toMatchObject({ status: 'completed', inputs: { name: 'Ada', times: 2 } });
  });

  test('with inputs as JSON, and the whole execution as JSON on stdout', async () => {
    const { code, out } = await cli([
      'run',
      'greet.yaml',
      '-i',
      '{"name":"Bob"}',
      '--tag',
      'cli',
      '-o',
      'json',
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ status: 'completed', outputs: { hello: 'Hello Bob' } });
  });

  test('of a workflow that fails ends 1 and says where and why', async () => {
    const { code, out, err } = await cli(['run', 'failing.json']);
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/execution \S+ failed at step bad: no_stock none left/);
  });

  test('with inputs that are wrong, or a definition that is, ends 1 and starts nothing', async () => {
    const started = async () => (await engine.client.listExecutions({ limit: 500 })).data.length;
    const before = await started();
    const wrong = await cli(['run', 'greet.yaml', '--input', 'name=7']);
    expect([wrong.code, wrong.out]).toEqual([1, '']);
    expect(wrong.err).toContain('/name');
    expect((await cli(['run', 'wrong.yaml'])).code).toBe(1);
    expect((await cli(['run', 'greet.yaml', '--input', 'name'])).code).toBe(2);
    expect(await started()).toBe(before);
  });

  test('that is stopped meanwhile ends 1', async () => {
    const running = cli(['run', 'held.yaml']);
    const { id } = await database.until(
      `select true, e.id from workflow_executions e join test_runs r on r.execution_id = e.id where e.status = 'running'`,
    );
    await engine.client.cancel(String(id));
    const { code, out, err } = await running;
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain(`execution ${id} cancelled`);
  });
});

describe('start, status, stop and list', () => {
  test('follow one execution from its start to its end', async () => {
    await cli(['publish', 'held.yaml']);
    const started = await cli(['start', 'held', '--idempotency-key', 'once', '--tag', 'followed']);
    expect([started.code, started.err]).toEqual([0, '']);
    const id = uuidIn(started.out);
    expect((await cli(['start', 'held', '--idempotency-key', 'once', '--tag', 'followed'])).out).toBe(
      `execution ${id} running (it existed already)\n`,
    );
    await database.until('select true from test_runs where execution_id = $1', [id]);

    const running = await cli(['status', id]);
    expect(running.code).toBe(0);
    expect(running.out).toContain(`execution ${id} running`);
    expect(running.out).toMatch(/wait +gate +running +1/);
    const listed = await cli(['list', '--tag', 'followed', '--status', 'running']);
    expect(listed.out).toMatch(new RegExp(`${id} +running +held +1`));

    const stopped = await cli(['stop', id, '--reason', 'enough']);
    expect([stopped.code, stopped.err]).toEqual([0, '']);
    await engine.end(id);
    const { out } = await cli(['status', id, '--outputs', '-o', 'json']);
    expect(JSON.parse(out)).toMatchObject({ execution_id: id, status: 'cancelled', stop_requested: true });
    expect((await cli(['stop', id])).out).toContain(`execution ${id} cancelled`);
  });

  test('list goes on after a page', async () => {
    await engine.client.startMany(
      Array.from({ length: 3 }, () => ({ template: 'published', tags: ['paged'] })),
    );
    const seen: string[] = [];
    let more: string[] = [];
    for (let page = 0; page < 2; page++) {
      const { code, out, err } = await cli(['list', '--tag', 'paged', '--limit', '2', ...more]);
      expect(code).toBe(0);
      seen.push(...out.trim().split('\n').slice(1).map(uuidIn));
      more = /--cursor \S+/.exec(err)?.[0].split(' ') ?? [];
    }
    expect([new Set(seen).size, more]).toEqual([3, []]);
  });

  test('start --wait ends as the execution does', async () => {
    const good = await cli(['start', 'greet', '-i', 'name=Eve', '--wait']);
    expect([good.code, JSON.parse(good.out)]).toMatchObject([0, { hello: 'Hello Eve' }]);
    expect((await cli(['start', 'failing', '--wait'])).code).toBe(1);
  });

  test('of what is not there end 1', async () => {
    for (const args of [
      ['status', UNKNOWN],
      ['stop', UNKNOWN],
      ['start', 'nobody'],
      ['status', 'no-id'],
    ]) {
      const { code, out, err } = await cli(args);
      expect([args, code, out]).toEqual([args, 1, '']);
      expect(err).toStartWith('error: ');
    }
  });
});

describe('without an engine', () => {
  test('every command ends 2 and says which address did not answer', async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    const commands = [
      ['validate', 'greet.yaml'],
      ['run', 'greet.yaml', '-i', 'name=x'],
      ['status', UNKNOWN],
      ['list'],
    ];
    const ends = await Promise.all(commands.map((args) => cli(args, { EXECUTION_ENGINE_URL: url })));
    for (const { code, out, err } of ends) {
      expect([code, out]).toEqual([2, '']);
      expect(err).toContain(`No engine answers at ${url}`);
    }
  });

  test('a wrong key ends 1 and tells how to give another', async () => {
    const { code, err } = await cli(['list'], { EXECUTION_ENGINE_TOKEN: 'a-key-that-nobody-has' });
    expect(code).toBe(1);
    expect(err).toContain('--token');
    expect(err).not.toContain('a-key-that-nobody-has');
  });

  test('a command that nobody knows, or a wrong option, ends 2', async () => {
    const wrong = [
      ['dance'],
      ['run'],
      ['list', '--limit', '0'],
      ['list', '--status', 'done'],
      ['status', UNKNOWN, '--url', 'ftp://x'],
    ];
    const ends = await Promise.all(wrong.map((args) => cli(args)));
    expect(ends.map(({ code, out }) => [code, out])).toEqual(wrong.map(() => [2, '']));
  });
});

describe('doctor', () => {
  const ACCEPT = ['--accept', 'database-not-durable', '--accept', 'session-with-old-snapshot'];

  test('ends 0 when everything holds, 1 with a table when not, and 0 again when it is repaired', async () => {
    const healthy = await cli(['doctor', ...ACCEPT]);
    expect(healthy).toMatchObject({ code: 0, err: '' });
    expect(healthy.out).toMatch(/^all \d\d invariants hold\n$/);
    const { rows } = await database.pool.query(
      `insert into pgboss.job (id, name, data, start_after, keep_until, policy, created_on)
       values ($1, 'StepExecutionQueue', $2, now() + interval '1 day', now() + interval '1 year', 'standard',
               now() - interval '1 hour') returning id`,
      [UNKNOWN, JSON.stringify({ kind: 'step', execution_id: UNKNOWN, step_id: UNKNOWN })],
    );
    expect(rows).toHaveLength(1);
    const ill = await cli(['doctor', ...ACCEPT]);
    expect([ill.code, ill.err]).toEqual([1, '']);
    expect(ill.out).toMatch(/^INVARIANT +ROWS +EXAMPLE +WHAT IS WRONG\njob-of-final-step +1 +11111111-/);
    expect(ill.out).toContain(
      '\njob-of-final-step: A job is for a step that is there and not final. Repair it.',
    );
    const repaired = await cli(['doctor', '--repair', ...ACCEPT]);
    expect(repaired.code).toBe(0);
    expect(repaired.out).toMatch(/^REPAIRED +ROWS\njob-of-final-step +1\n\nall \d\d invariants hold\n$/);
    expect((await cli(['doctor', '-o', 'json', ...ACCEPT])).code).toBe(0);
  });

  test('ends 1 and names the invariants when one is accepted that is none', async () => {
    const { code, out, err } = await cli(['doctor', '--accept', 'nothing-of-the-kind']);
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain('queued-step-without-job');
  });
});

/** A port that was free a moment ago. */
function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
