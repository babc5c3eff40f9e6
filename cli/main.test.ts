/** The command line as people and scripts meet it: a process, against a real server. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningServer, serve } from '../api/server.ts';
import { EngineError } from '../core/problem.ts';
import { createTestApp, keyOf } from '../tests/support/api/test-app.ts';
import { type CliEnd, runCli } from '../tests/support/cli.ts';

const YAML = 'name: greet\nsteps:\n  hello: { type: noop }\n  world: { type: noop }\n';
const BROKEN = 'name: broken\nsteps:\n  first: { type: noop }\n  second:\n    type: nope\n';
const UNKNOWN_ID = '11111111-1111-1111-1111-111111111111';

// Every command is a process; a busy machine starts them slowly.
let directory: string;
let server: RunningServer;
let guarded: RunningServer;
const engine = createTestApp();

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'execution-engine-cli-'));
  await Promise.all([
    file('greet.yaml', YAML),
    file('broken.yaml', BROKEN),
    file('fail.yaml', YAML.replace('world', 'fail').replace('greet', 'fail')),
  ]);
  server = await serve(engine.app, { host: '127.0.0.1', port: 0 });
  const keys = [keyOf('the-key', { workspaceId: null, admin: true, role: 'editor' })];
  guarded = await serve(createTestApp({ keys }).app, { host: '127.0.0.1', port: 0 });
});

afterAll(async () => {
  await Promise.all([server.stop(0), guarded.stop(0), rm(directory, { recursive: true })]);
});

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(directory, name), text);
  return name;
}

function cli(
  args: string[],
  { stdin = '', env = {} }: { stdin?: string; env?: Record<string, string> } = {},
): Promise<CliEnd> {
  return runCli(args, { cwd: directory, env: { EXECUTION_ENGINE_URL: server.url, ...env }, stdin });
}

/** The JSON that a command printed. */
async function json(args: string[]): Promise<Record<string, unknown>> {
  return JSON.parse((await cli(args)).out) as Record<string, unknown>;
}

test('an engine with too much to do is asked again once; then it is said that nothing was changed', async () => {
  const busy = createTestApp();
  busy.ports.before = () => {
    throw new EngineError(
      'too_many_requests',
      'Nothing was started: 9 executions are pending, and the limit is 9.',
    );
  };
  const other = await serve(busy.app, { host: '127.0.0.1', port: 0 });
  try {
    const { code, err } = await cli(['start', 'greet', '--url', other.url]);
    expect(code).toBe(4);
    expect(err).toContain('9 executions are pending');
    expect(err).toContain('Nothing was changed; try again later.');
    expect(busy.ports.calls).toHaveLength(2);
  } finally {
    await other.stop(0);
  }
});

describe('publish and validate', () => {
  test('publish says which version a file became, and that an equal one is unchanged', async () => {
    await file('twice.yaml', YAML.replace('greet', 'twice'));
    expect(await cli(['publish', 'twice.yaml'])).toEqual({
      code: 0,
      out: 'published twice version 1, 2 steps\n',
      err: '',
    });
    expect((await cli(['publish', 'twice.yaml'])).out).toBe('unchanged: twice version 1, 2 steps\n');
  });

  test('a definition comes from stdin too, in YAML or JSON', async () => {
    expect((await cli(['publish', '-'], { stdin: YAML.replace('greet', 'piped') })).out).toContain(
      'published piped',
    );
    expect((await cli(['validate', '-', '--online'], { stdin: '{"name":"x","steps":{}}' })).code).toBe(0);
  });

  test('every problem is a line with its place in the file, on stderr', async () => {
    const problem =
      'broken.yaml:/steps/second/type unknown_step_type There is no step type "nope". (line 5)\n';
    expect(await cli(['validate', 'broken.yaml', '--online'])).toEqual({ code: 1, out: '', err: problem });
    expect(await cli(['publish', 'broken.yaml'])).toEqual({ code: 4, out: '', err: problem });
  });

  test('problems are in the order of their lines, and a warning says that it is one', async () => {
    const text = `name: many
steps:
  b: { type: noop, with: { text: "{{ input.x }}" } }
  a: { type: nope, needs: [c] }
  d: { type: delay, with: { for: s30 } }
`;
    const { code, err } = await cli(['validate', '-'], { stdin: text });
    const lines = err.trim().split('\n').slice(0, -1);
    expect(code).toBe(1);
    expect(lines.map((line) => /\(line (\d)\)$/.exec(line)?.[1])).toEqual(['3', '4', '4', '5']);
    expect(lines.map((line) => line.startsWith('warning: '))).toEqual([true, false, false, false]);
  });

  test('json gives the answer of the engine', async () => {
    expect(await json(['validate', '--online', 'broken.yaml', '-o', 'json'])).toMatchObject({
      valid: false,
      errors: [{ code: 'unknown_step_type' }],
    });
    expect(await json(['-o', 'json', '--url', server.url, 'validate', 'greet.yaml'])).toMatchObject({
      valid: true,
    });
  });

  test('text that is no YAML fails, a file that is not there is wrong usage', async () => {
    expect(await cli(['publish', '-'], { stdin: 'a: [1' })).toMatchObject({ code: 4, out: '' });
    expect(await cli(['validate', '--online', '-'], { stdin: 'a: [1' })).toMatchObject({ code: 1, out: '' });
    expect(await cli(['publish', 'missing.yaml'])).toEqual({
      code: 2,
      out: '',
      err: 'error: cannot read missing.yaml: ENOENT\n',
    });
  });
});

describe('run', () => {
  test('publishes, tells every transition, prints the outputs alone on stdout and exits 0', async () => {
    const { code, out, err } = await cli([
      'run',
      'greet.yaml',
      '--input',
      'count=3',
      '-i',
      'name=Ada',
      '-i',
      '{"deep":{"ok":true}}',
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({ done: true });
    const told = err.split('\n').filter((line) => line.includes('hello') || line.includes('world'));
    expect(told.map((line) => line.split('  ')[0])).toEqual([
      'running hello',
      'completed hello',
      'running world',
      'completed world',
    ]);
    const started = engine.ports.calls.findLast(({ name }) => name === 'start');
    expect(started!.args[0]).toMatchObject({
      template: 'greet',
      version: 1,
      inputs: { count: 3, name: 'Ada', deep: { ok: true } },
    });
  });

  test('a run that fails says where and why and exits 1', async () => {
    const { code, out, err } = await cli(['run', 'fail.yaml']);
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/execution [0-9a-f-]{36} failed at step fail: failed It was told to fail\./);
  });

  test('json gives the whole execution, also of a run that fails', async () => {
    const { code, out } = await cli(['run', 'fail.yaml', '-o', 'json']);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ status: 'failed', error: { step: 'fail' } });
  });

  test('a broken definition starts nothing', async () => {
    const before = engine.ports.calls.filter(({ name }) => name === 'start').length;
    expect((await cli(['run', 'broken.yaml'])).code).toBe(4);
    expect(engine.ports.calls.filter(({ name }) => name === 'start')).toHaveLength(before);
  });

  test('inputs come from files, and nonsense is wrong usage', async () => {
    await file('input.json', '{"orderId":"42"}');
    await cli(['run', 'greet.yaml', '-i', '@input.json', '-i', 'again=@input.json']);
    const started = engine.ports.calls.findLast(({ name }) => name === 'start');
    expect(started!.args[0]).toMatchObject({ inputs: { orderId: '42', again: { orderId: '42' } } });
    for (const input of ['nonsense', '{"a":', '@missing.json', '=1']) {
      expect(await cli(['run', 'greet.yaml', '-i', input])).toMatchObject({ code: 2, out: '' });
    }
  });
});

describe('executions', () => {
  test('are started by name, shown, stopped and listed', async () => {
    await cli(['publish', 'greet.yaml']);
    const { execution_id: id } = (await json(['start', 'greet', '--tag', 'x', '-o', 'json'])) as {
      execution_id: string;
    };
    const shown = await cli(['status', id]);
    expect(shown.code).toBe(0);
    expect(shown.out).toContain(`execution ${id} running`);
    expect(shown.out).toMatch(/^hello +noop +running +1 .* -$/m);
    expect(await cli(['stop', id, '--reason', 'enough'])).toMatchObject({
      code: 0,
      out: `execution ${id} cancelled\n`,
    });
    const listed = await cli(['list', '--tag', 'x']);
    expect(listed.out).toMatch(/^EXECUTION +STATUS +TEMPLATE +VERSION +CREATED +TAGS +ERROR$/m);
    expect(listed.out).toMatch(new RegExp(`^${id} .* x +-$`, 'm'));
    const cancelled = await json(['cancel', id, '--reason', 'now', '-o', 'json']);
    expect(cancelled).toMatchObject({ execution_id: id, status: 'cancelled' });
    expect(engine.ports.calls.findLast(({ name }) => name === 'cancel')!.args).toEqual([id, 'now']);
    expect((await cli(['cancel', id])).out).toBe(`execution ${id} cancelled\n`);
  });

  test('start --wait prints the outputs and exits by the outcome', async () => {
    await cli(['publish', 'greet.yaml']);
    const done = await cli(['start', 'greet', '--wait']);
    expect([done.code, JSON.parse(done.out)]).toEqual([0, { done: true }]);
    await cli(['publish', 'fail.yaml']);
    expect(await cli(['start', 'fail', '--wait'])).toMatchObject({ code: 1, out: '' });
  });

  test('what is not found exits 4, with the reason on stderr', async () => {
    expect(await cli(['status', UNKNOWN_ID])).toEqual({
      code: 4,
      out: '',
      err: `error: There is no execution ${UNKNOWN_ID}.\n`,
    });
    expect((await cli(['start', 'nobody'])).code).toBe(4);
    expect((await cli(['status', 'seven'])).err).toContain('/execution_id wrong_format');
  });
});

describe('wrong usage', () => {
  test('exits 2 and says what is known', async () => {
    expect(await cli(['lst'])).toMatchObject({ code: 2, out: '' });
    expect((await cli(['lst'])).err).toContain('Did you mean list?');
    for (const args of [
      ['run'],
      ['list', '--status', 'nope'],
      ['list', '--limit', 'many'],
      ['list', '-o', 'xml'],
      ['list', '--nope'],
      ['list', '--url', 'localhost'],
    ]) {
      expect([args, await cli(args)]).toMatchObject([args, { code: 2, out: '' }]);
    }
  });

  test('help and version exit 0', async () => {
    const { out } = await cli(['--help']);
    expect(out).toContain('run [options] <file>');
    expect(out).toMatch(/^Exit codes:\n {2}0 /m);
    expect((await cli(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('the engine', () => {
  test('that does not answer exits 5 and says how to start one', async () => {
    const gone = await serve(engine.app, { host: '127.0.0.1', port: 0 });
    await gone.stop(0);
    const { code, err } = await cli(['list', '--url', gone.url]);
    expect(code).toBe(5);
    expect(err).toContain(`No engine answers at ${gone.url}`);
    expect(err).toContain('npm start');
  });

  test('is the usual one when the variable for it is empty', async () => {
    const { err } = await cli(['list'], { env: { EXECUTION_ENGINE_URL: '' } });
    expect(err).not.toContain('is not an http');
  });

  test('that asks for a key gets it from an option or the environment', async () => {
    const refused = await cli(['list', '--url', guarded.url]);
    expect(refused.code).toBe(4);
    expect(refused.err).toContain('EXECUTION_ENGINE_TOKEN');
    expect((await cli(['list', '--url', guarded.url, '--token', 'the-key'])).code).toBe(0);
    expect(
      (await cli(['list'], { env: { EXECUTION_ENGINE_URL: guarded.url, EXECUTION_ENGINE_TOKEN: 'the-key' } }))
        .code,
    ).toBe(0);
  });
});

describe('doctor', () => {
  test('says that everything holds and exits 0, and hands its options on', async () => {
    expect(
      await cli(['doctor', '--everything', '--grace', '5', '--accept', 'a-b', '--accept', 'c-d']),
    ).toEqual({
      code: 0,
      out: 'all 1 invariants hold\n',
      err: '',
    });
    const asked = { everything: true, graceSeconds: 5, accept: ['a-b', 'c-d'] };
    expect(engine.ports.calls.findLast(({ name }) => name === 'examine')!.args).toEqual([asked]);
    expect(await json(['doctor', '--repair', '-o', 'json'])).toMatchObject({ ok: true, findings: [] });
    const usual = { everything: false, graceSeconds: null, accept: [] };
    expect(engine.ports.calls.findLast(({ name }) => name === 'repair')!.args).toEqual([usual]);
  });

  test('with a grace that is no number of seconds is wrong usage', async () => {
    for (const grace of ['-1', 'soon', '1.5']) expect((await cli(['doctor', '--grace', grace])).code).toBe(2);
  });
});

describe('pause and resume', () => {
  test('of an execution and of those that fit, both at once, is wrong usage, and asks nothing', async () => {
    const before = engine.ports.calls.length;
    for (const act of ['pause', 'resume'])
      for (const rest of [['--tag', 'red'], ['--limit', '1'], []]) {
        const { code } = await cli([
          act,
          ...(rest.length === 0 ? [] : ['0190b6d0-1111-7222-8333-444455556666']),
          ...rest,
        ]);
        expect(code).toBe(2);
      }
    expect(engine.ports.calls.length).toBe(before);
  });
});
