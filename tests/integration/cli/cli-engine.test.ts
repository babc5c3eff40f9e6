/**
 * The command line as a process against a real engine: exit codes, what goes to stdout, what goes to stderr.
 */
import { describe, expect, test } from 'bun:test';
import { writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { BUILT_IN_NAMES } from '../../../steps/built-in-names.ts';
import { type CliEnd, runCli, startCli } from '../../support/cli.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

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

fixtureForAll(
  async (fixture) => {
    directory = await fixture.folder();
    for (const [name, text] of Object.entries(FILES)) await writeFile(join(directory, name), text);
    database = await fixture.database();
    engine = await fixture.engine({
      config: { EXECUTION_ENGINE_API_KEYS: `${KEY}=admin` },
      token: KEY,
    });
  },
  { allFinal: false },
);

function cli(args: readonly string[], env: Record<string, string> = {}, stdin = ''): Promise<CliEnd> {
  return runCli(args, {
    cwd: directory,
    env: { EXECUTION_ENGINE_URL: engine.url, EXECUTION_ENGINE_TOKEN: KEY, ...env },
    stdin,
  });
}

const REGISTERED = `Registered are ${[...BUILT_IN_NAMES].sort().join(', ')}.`;

const uuidIn = (text: string) => /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(text)![0];

describe('validate', () => {
  test('of a good file ends 0 and publishes nothing', async () => {
    await writeFile(join(directory, 'good.yaml'), FILES['greet.yaml']!.replace('greet', 'good'));
    expect(await cli(['validate', 'good.yaml'])).toEqual({ code: 0, out: 'good.yaml is valid\n', err: '' });
    expect((await engine.request('GET', '/api/v1/templates/good')).status).toBe(404);
  });

  test('of a bad file ends 1 and names every problem with its line', async () => {
    const { code, out, err } = await cli(['validate', 'wrong.yaml']);
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/wrong\.yaml:\/steps\/a\/type unknown_step_type .*\(line 3\)/);
    expect(err).toMatch(/wrong\.yaml:\/steps\/b\/needs\S* \w+ .*"a".*\(line 4\)/);
    expect(err).toEndWith('are known with --steps MODULE, or to the engine with --online.\n');
    expect((await cli(['validate', 'wrong.yaml', '--online'])).err).not.toContain('--online');
  });

  test('of what is no YAML, or no file at all, ends badly and says where', async () => {
    const broken = await cli(['validate', 'broken.yaml']);
    expect([broken.code, broken.out]).toEqual([1, '']);
    expect(broken.err).toContain('line 3');
    const missing = await cli(['validate', 'nobody.yaml']);
    expect([missing.code, missing.err]).toEqual([2, 'error: cannot read nobody.yaml: ENOENT\n']);
  });

  test.each(Object.keys(FILES).filter((name) => name !== 'held.yaml'))(
    'of %s says the same with and without the engine',
    async (name) => {
      const here = await cli(['validate', name, '-o', 'json'], {
        EXECUTION_ENGINE_URL: 'http://127.0.0.1:1',
      });
      const there = await cli(['validate', name, '-o', 'json', '--online']);
      expect([here.code, here.err, JSON.parse(here.out)]).toEqual([
        there.code,
        there.err,
        // Only the engine has the step types of this test.
        JSON.parse(there.out.replace(/Registered are [^"]*\./g, REGISTERED)),
      ]);
      expect(await cli(['validate', name, '-o', 'json', '--url', engine.url])).toEqual(there);
    },
  );

  test('without an engine leaves secrets to the engine that has them', async () => {
    const text = 'name: x\nsteps: { a: { type: noop, with: { key: "${{ secrets.STOCK }}" } } }\n';
    expect(await cli(['validate', '-'], {}, text)).toEqual({ code: 0, out: '<stdin> is valid\n', err: '' });
    expect((await cli(['validate', '-', '--online'], {}, text)).err).toContain('secret_missing');
  });

  test('knows step types of modules, and says what is wrong with a module', async () => {
    expect((await cli(['validate', 'held.yaml'])).err).toContain('unknown_step_type');
    const gate = `export default { type: 'gate', schema: { type: 'object', required: ['name'] }, run() {} };
      setInterval(() => {}, 1_000);`;
    await writeFile(join(directory, 'gate.mjs'), gate);
    const good = await cli(['validate', 'held.yaml', '--steps', 'gate.mjs']);
    expect(good).toEqual({ code: 0, out: 'held.yaml is valid\n', err: '' });
    await writeFile(join(directory, 'bad.mjs'), 'export default { type: 7 };');
    const bad = await cli(['validate', 'held.yaml', '--steps', 'bad.mjs']);
    expect([bad.code, bad.out]).toEqual([2, '']);
    expect(bad.err).toContain('- bad.mjs: a step type needs "type"');
    expect((await cli(['validate', 'held.yaml', '--steps', 'gate.mjs', '--online'])).code).toBe(2);
  });
});

describe('publish', () => {
  test('of what is no YAML names the file', async () => {
    const { code, out, err } = await cli(['publish', 'broken.yaml']);
    expect([code, out]).toEqual([4, '']);
    expect(err).toMatch(/^broken\.yaml: malformed_yaml .*line 3/);
  });

  test('makes a version once, from a file or from stdin, and refuses what is wrong', async () => {
    const text = 'name: published\nsteps: { a: { type: noop } }\n';
    const out = (line: string) => ({ code: 0, out: `${line}\n`, err: '' });
    expect(await cli(['publish', '-'], {}, text)).toEqual(out('published published version 1, 1 steps'));
    expect(await cli(['publish', '-'], {}, text)).toEqual(out('unchanged: published version 1, 1 steps'));
    const json = '{"name":"published","steps":{"a":{"type":"noop"},"b":{"type":"noop"}}}';
    expect(await cli(['publish', '-'], {}, json)).toEqual(out('published published version 2, 2 steps'));
    expect((await engine.client.getTemplate('published')).version).toBe(2);
    expect((await cli(['publish', 'wrong.yaml'])).code).toBe(4);
    expect((await engine.request('GET', '/api/v1/templates/wrong')).status).toBe(404);
  });
});

describe('templates', () => {
  test('are listed, shown by version, and archived', async () => {
    const text = (version: number) =>
      `name: shown\ndescription: No ${version}\nsteps: { a${version}: { type: noop } }\n`;
    for (const version of [1, 2]) await cli(['publish', '-'], {}, text(version));
    expect((await cli(['templates', '--limit', '500'])).out).toMatch(/^shown +2 +\S+Z +No 2$/m);
    const first = await cli(['show', 'shown', '--template-version', '1']);
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toMatch(/^template +shown version 1\ndescription No 1\n[\s\S]*\na1 +noop\n$/);
    const latest = await cli(['show', 'shown', '-o', 'json']);
    expect(JSON.parse(latest.out)).toMatchObject({ version: 2, definition: { name: 'shown' } });
    expect(await cli(['archive', 'shown'])).toEqual({ code: 0, out: 'archived shown\n', err: '' });
    expect((await cli(['show', 'shown'])).out).toMatch(/^archived +\S+Z$/m);
    expect(await cli(['archive', 'shown'])).toMatchObject({ code: 4, out: '' });
    expect((await cli(['templates', '--limit', '500'])).out).not.toContain('shown');
  });

  test('are listed in pages', async () => {
    for (const name of ['page-a', 'page-b'])
      await cli(['publish', '-'], {}, `name: ${name}\nsteps: { a: { type: noop } }\n`);
    const first = await cli(['templates', '--limit', '1']);
    const cursor = /--cursor (\S+)/.exec(first.err)![1]!;
    const second = await cli(['templates', '--limit', '1', '--cursor', cursor]);
    expect(second.code).toBe(0);
    expect(second.out.split('\n')[1]).not.toBe(first.out.split('\n')[1]);
  });
});

describe('run', () => {
  test('to completion ends 0, with nothing but the outputs on stdout', async () => {
    const { code, out, err } = await cli(['run', 'greet.yaml', '--input', 'name=Ada', '--input', 'times=2']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({ hello: 'Hello Ada', bye: [2, 'bye'] });
    expect(err).toMatch(/^(published|unchanged:) greet version 1, 3 steps$/m);
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

  test('with inputs that are wrong, or a definition that is, ends 4 and starts nothing', async () => {
    const started = async () => (await engine.client.listExecutions({ limit: 500 })).data.length;
    const before = await started();
    const wrong = await cli(['run', 'greet.yaml', '--input', 'name=7']);
    expect([wrong.code, wrong.out]).toEqual([4, '']);
    expect(wrong.err).toContain('/name');
    expect((await cli(['run', 'wrong.yaml'])).code).toBe(4);
    expect((await cli(['run', 'greet.yaml', '--input', 'name'])).code).toBe(2);
    expect(await started()).toBe(before);
  });

  test('that is cancelled meanwhile ends 3', async () => {
    const running = cli(['run', 'held.yaml', '--tag', 'cancelled-meanwhile']);
    const { id } = await database.until(
      `select true, e.id from workflow_executions e join test_runs r on r.execution_id = e.id
        where 'cancelled-meanwhile' = any(e.tags)`,
    );
    await engine.client.cancel(String(id));
    const { code, out, err } = await running;
    expect([code, out]).toEqual([3, '']);
    expect(err).toContain(`execution ${id} cancelled`);
  });
});

test('status shows when a delayed step goes on', async () => {
  const name = await engine.publish({ steps: { pause: { type: 'delay', with: { for: '1h' } } } });
  const id = await engine.start(name);
  await database.until(
    `select bool_or(status = 'waiting') from workflow_step_executions where workflow_execution_id = $1`,
    [id],
  );
  const [step] = (await engine.client.status(id)).steps;
  expect((await cli(['status', id])).out).toContain(`  -     until ${step!.resume_at}  -\n`);
});

describe('a way to the engine that fails in passing', () => {
  test('neither ends a run nor starts it twice, even when an answer is lost', async () => {
    await using way = await shakyWay(engine.url);
    const { code, out, err } = await cli(['run', 'greet.yaml', '-i', 'name=Ada', '--tag', 'shaky'], {
      EXECUTION_ENGINE_URL: way.url,
    });
    expect([code, JSON.parse(out)]).toMatchObject([0, { hello: 'Hello Ada' }]);
    expect(err).toContain('Asking again for up to 60 s.');
    const started = await engine.client.listExecutions({ tag: 'shaky' });
    expect(started.data.map(({ execution_id }) => execution_id)).toEqual([uuidIn(err)]);
    expect(way.lost()).toBeGreaterThan(2);
  });

  test('ends a run with 5 when patience does, and says how to look at the execution', async () => {
    await using way = await shakyWay(engine.url);
    way.breakAfter('/api/v1/execution/start');
    const { code, out, err } = await cli(['run', 'held.yaml', '--tag', 'left-alone', '--patience', '2'], {
      EXECUTION_ENGINE_URL: way.url,
    });
    expect([code, out]).toEqual([5, '']);
    const [left] = (await engine.client.listExecutions({ tag: 'left-alone' })).data;
    expect(err).toContain(
      `execution ${left!.execution_id} may go on or have ended; look at it with: npm run cli -- status ${left!.execution_id}\n`,
    );
    await engine.client.cancel(left!.execution_id);
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

    await cli(['run', 'failing.json', '--tag', 'followed']);
    const failed = await cli(['list', '--tag', 'followed', '--status', 'failed']);
    expect(failed.out).toMatch(/ followed +bad: no_stock none left$/m);

    const stopped = await cli(['stop', id, '--reason', 'enough']);
    expect([stopped.code, stopped.err]).toEqual([0, '']);
    await engine.end(id);
    const { out } = await cli(['status', id, '--outputs', '-o', 'json']);
    expect(JSON.parse(out)).toMatchObject({ execution_id: id, status: 'cancelled', stop_requested: true });
    expect((await cli(['stop', id])).out).toContain(`execution ${id} cancelled`);
  });

  test('list goes on after a page', async () => {
    const template = await engine.publish({ steps: { a: { type: 'noop' } } });
    await engine.client.startMany(Array.from({ length: 3 }, () => ({ template, tags: ['paged'] })));
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

  test('status has the times, the next attempt, the errors, and a summary that adds up', async () => {
    const name = await engine.publish({
      steps: {
        pick: {
          type: 'switch',
          with: {
            cases: ['left', 'right'].map((route) => ({ when: `\${{ "${route}" == "left" }}`, route })),
          },
        },
        left: { type: 'noop', needs: [{ step: 'pick', route: 'left' }] },
        right: { type: 'noop', needs: [{ step: 'pick', route: 'right' }] },
        again: {
          type: 'flaky',
          needs: ['left'],
          with: { failures: 2, code: 'busy', message: 'come back' },
          retry: { limit: 3, delay: '1h' },
        },
      },
    });
    const { execution_id: id } = await engine.client.start({ template: name });
    await database.until(
      `select true from workflow_step_executions where workflow_execution_id = $1 and status = 'retrying'`,
      [id],
    );
    const { out } = await cli(['status', id, '--outputs']);
    expect(out).toMatch(/^created +\S+Z\nstarted +\S+Z\nsteps +2 of 4 completed, 1 skipped, 1 retrying$/m);
    expect(out).toMatch(/^left +noop +completed +1 +\S+Z +\S+(ms|s) +- +-$/m);
    expect(out).toMatch(/^again +flaky +retrying +1 +\S+Z +- +next attempt \S+Z +busy: come back$/m);
    const outputs = JSON.parse(out.slice(out.indexOf('{')));
    expect(Object.keys(outputs)).toEqual(['pick', 'left', 'right', 'again']);
    await engine.client.cancel(id);
    expect((await cli(['status', id])).out).toMatch(/^ended +\S+Z, after \S/m);
  });

  test('status --wait follows one that runs, and ends as it does', async () => {
    await cli(['publish', 'held.yaml']);
    const id = uuidIn((await cli(['start', 'held', '--tag', 'watched'])).out);
    await database.until('select true from test_runs where execution_id = $1', [id]);
    const watching = cli(['status', id, '--wait']);
    await engine.client.cancel(id);
    const { code, out, err } = await watching;
    expect([code, err]).toEqual([3, expect.stringContaining('cancelled wait')]);
    expect(out).toStartWith(`execution ${id} cancelled\n`);
    const unknown = await cli(['status', UNKNOWN, '--wait']);
    expect([unknown.code, unknown.err]).toEqual([
      4,
      `error: There is no execution ${UNKNOWN} in this workspace.\n`,
    ]);
  });

  test('an interrupted start --wait has told the id, and says how to look and how to stop', async () => {
    await cli(['publish', 'held.yaml']);
    const child = startCli(['start', 'held', '--wait', '--tag', 'interrupted', '--url', engine.url], {
      env: { EXECUTION_ENGINE_TOKEN: KEY },
    });
    const { id } = await database.until(
      `select true, e.id from workflow_executions e join test_runs r on r.execution_id = e.id
        where 'interrupted' = any(e.tags)`,
    );
    let err = '';
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
      const isFirst = !err.includes('running wait');
      err += part;
      if (isFirst && err.includes('running wait')) child.kill('SIGINT');
    }
    expect(await child.exited).toBe(130);
    expect(err).toStartWith(`execution ${id}\n`);
    const command = (name: string) => `npm run cli -- ${name} ${id} --url ${engine.url}\n`;
    expect(err).toContain(`execution ${id} goes on; look at it with: ${command('status')}`);
    expect(err).toEndWith(`stop it with: ${command('stop')}`);
    await engine.client.cancel(String(id));
  });

  test('stop and cancel say when there was nothing to stop', async () => {
    const run = await cli(['run', 'greet.yaml', '-i', 'name=Ada']);
    const id = uuidIn(run.err);
    for (const command of ['stop', 'cancel'])
      expect(await cli([command, id])).toEqual({
        code: 0,
        out: `execution ${id} was already completed; nothing was stopped\n`,
        err: '',
      });
  });

  test('start takes a time to begin at and an address to call', async () => {
    await cli(['publish', 'held.yaml']);
    const later = ['--start-after', '1h', '--callback-url', 'https://example.com/done'];
    const id = uuidIn((await cli(['start', 'held', ...later])).out);
    expect((await cli(['status', id])).out).toMatch(/^goes on +\S+Z$/m);
    const { rows } = await database.pool.query('select callback_url from workflow_executions where id = $1', [
      id,
    ]);
    expect(rows).toEqual([{ callback_url: 'https://example.com/done' }]);
    await engine.client.cancel(id);
  });

  test('start --wait ends as the execution does', async () => {
    await Promise.all(['greet.yaml', 'failing.json'].map((name) => cli(['publish', name])));
    const good = await cli(['start', 'greet', '-i', 'name=Eve', '--wait']);
    expect([good.code, JSON.parse(good.out)]).toMatchObject([0, { hello: 'Hello Eve' }]);
    expect((await cli(['start', 'failing', '--wait'])).code).toBe(1);
  });

  test('of a name that is almost right names the right one, and an archived template is called so', async () => {
    for (const name of ['nearly', 'stored']) {
      await cli(['publish', '-'], {}, `name: ${name}\nsteps: { a: { type: noop } }\n`);
    }
    for (const command of ['start', 'show', 'archive']) {
      const { code, err } = await cli([command, 'neraly']);
      expect([command, code, err]).toEqual([
        command,
        4,
        'error: No template "neraly" is published in this workspace. Did you mean "nearly"?\n',
      ]);
    }
    await cli(['archive', 'stored']);
    const { err } = await cli(['start', 'stored']);
    expect(err).toBe('error: The template "stored" is archived; publish it again to start it.\n');
  });

  test('of what is not there end 4', async () => {
    for (const args of [
      ['status', UNKNOWN],
      ['stop', UNKNOWN],
      ['start', 'nobody'],
      ['status', 'no-id'],
    ]) {
      const { code, out, err } = await cli(args);
      expect([args, code, out]).toEqual([args, 4, '']);
      expect(err).toStartWith('error: ');
    }
  });
});

describe('without an engine', () => {
  test('every command ends 5 and says which address did not answer', async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    const commands = [
      ['validate', 'greet.yaml', '--online'],
      ['templates'],
      ['run', 'greet.yaml', '-i', 'name=x'],
      ['status', UNKNOWN],
      ['list'],
    ];
    const ends = await Promise.all(commands.map((args) => cli(args, { EXECUTION_ENGINE_URL: url })));
    for (const { code, out, err } of ends) {
      expect([code, out]).toEqual([5, '']);
      expect(err).toContain(`No engine answers at ${url}`);
    }
  });

  test('a wrong key ends 4 and tells how to give another', async () => {
    const { code, err } = await cli(['list'], { EXECUTION_ENGINE_TOKEN: 'a-key-that-nobody-has' });
    expect(code).toBe(4);
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

  test('ends 4 and names the invariants when one is accepted that is none', async () => {
    const { code, out, err } = await cli(['doctor', '--accept', 'nothing-of-the-kind']);
    expect([code, out]).toEqual([4, '']);
    expect(err).toContain('queued-step-without-job');
  });
});

/** A proxy of which every third answer is 503, and every third is lost on its way back. */
async function shakyWay(target: string) {
  let count = 0;
  let lost = 0;
  let broken = false;
  let breakAfter: string | null = null;
  const server = createHttpServer(async (request, response) => {
    const turn = count++ % 3;
    if (broken || turn === 0) {
      const body = JSON.stringify({ code: 'unavailable', detail: 'The database cannot be reached.' });
      response.writeHead(503, { 'content-type': 'application/problem+json' }).end(body);
      return;
    }
    const { method = 'GET', url = '/', headers } = request;
    const body = method === 'GET' ? null : await buffer(request);
    const answer = await fetch(target + url, {
      method,
      body,
      headers: Object.entries(headers).filter(([name]) => /^(authorization|content-type)$/.test(name)) as [
        string,
        string,
      ][],
    });
    if (turn === 1) {
      lost += 1;
      response.destroy();
      return;
    }
    if (url === breakAfter) broken = true;
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lost: () => lost,
    breakAfter: (path: string) => {
      breakAfter = path;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A port that was free a moment ago. */
function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
