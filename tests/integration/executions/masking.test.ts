/**
 * Secrets of random characters, written in random ways, through every door by which something leaves a step, an
 * expression or the log: nothing that is stored, answered, called back or logged gives one away.
 */
import { expect, test } from 'bun:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import type { JsonObject } from '../../../core/json/json.ts';
import { SEED } from '../../support/core/cases.ts';
import { seededRandom } from '../../support/core/seeded-random.ts';
import { type EngineDatabase, type EngineProcess, stepOf } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { type HttpPeer, httpPeer } from '../../support/http-peer.ts';
import { BYTE_SPELLINGS, PLAIN_BYTE_SPELLINGS, SPELLINGS, write } from '../../support/spellings.ts';
import { LEAK_DOORS } from '../../support/steps/leaking.ts';
import { until } from '../../support/until.ts';

const SECRET_COUNT = 8;
const LETTERS = 'QXZJKVWqxzjkvw';
const draw = seededRandom(SEED);
const SPECIAL = '"\\/\n%&<>\'+= é€😀.-_~$`{}';

let database: EngineDatabase;
let engine: EngineProcess;
let peer: HttpPeer;
let folder: string;
let secrets: Record<string, string>;
const calledBack: string[] = [];

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  folder = await fixture.folder();
  secrets = Object.fromEntries(
    fc.sample(secretOf, { numRuns: SECRET_COUNT, seed: SEED }).map((value, at) => [`S${at}`, value]),
  );
  // What is written as a number, and what is told line by line.
  secrets.PIN = String(Math.floor(1e14 + draw() * 8e14));
  secrets.KEY = `${letters()}\n${letters()}\n${letters()}\n`;
  await writeFile(join(folder, 'secrets.json'), JSON.stringify(secrets), { mode: 0o600 });
  const leaking = pathToFileURL(join(import.meta.dir, '..', '..', 'support', 'steps', 'leaking.ts')).href;
  const module = join(folder, 'steps.ts');
  await writeFile(module, `export { leak as default } from ${JSON.stringify(leaking)};\n`);
  const listening = httpPeer(async (request, response) => {
    const body = await readText(request);
    if (request.url === '/called-back') calledBack.push(body);
    const parts = new URL(request.url!, 'http://peer').searchParams;
    const before = 'b'.repeat(Number(parts.get('before') ?? 0));
    response.writeHead(Number(parts.get('status') ?? 200), { 'x-echo': encodeURI(parts.get('echo') ?? '') });
    response.end(before + (parts.get('echo') ?? '') + body + 'a'.repeat(10));
  });
  peer = await fixture.use(listening);
  engine = await fixture.engineProcess({
    config: {
      EXECUTION_ENGINE_SECRETS_FILE: join(folder, 'secrets.json'),
      EXECUTION_ENGINE_STEPS: module,
      EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1',
      EXECUTION_ENGINE_LOG_LEVEL: 'debug',
    },
  });
});

/** Letters that stand nowhere else; all ways of writing but those of bytes leave them as they are. */
function letters(): string {
  return Array.from({ length: 10 }, () => LETTERS[Math.floor(draw() * LETTERS.length)]).join('');
}

const secretOf = fc
  .tuple(
    fc.constant(null).map(letters),
    fc.string({ unit: fc.constantFrom(...SPECIAL), minLength: 0, maxLength: 12 }),
    fc.constant(null).map(letters),
  )
  .map((parts) => parts.join(''));

/** Escaped in any nesting, or as the bytes of a text that holds it, which may be escaped once more. */
const spellings = fc.oneof(
  fc.array(fc.constantFrom(...Object.keys(SPELLINGS)), { maxLength: 4 }),
  fc
    .tuple(
      fc.array(fc.constantFrom('json', 'json text', 'json in ASCII', 'url', 'form'), { maxLength: 1 }),
      fc.constantFrom(...Object.keys(BYTE_SPELLINGS)),
      fc.array(fc.constantFrom(...Object.keys(SPELLINGS)), { maxLength: 2 }),
    )
    .map((parts) => parts.flat()),
  fc
    .tuple(
      fc.constantFrom(...Object.keys(PLAIN_BYTE_SPELLINGS)),
      fc.array(fc.constantFrom(...Object.keys(SPELLINGS)), { maxLength: 2 }),
    )
    .map((parts) => parts.flat()),
);

/** A secret by name, and how it is written. */
const leaks = fc.record({
  name: fc.nat(SECRET_COUNT - 1).map((at) => `S${at}`),
  spelling: spellings,
});

/** Everything that left: rows, answers, callbacks, the log. */
async function everythingOutside(ids: readonly string[]): Promise<string> {
  const tables = await database.pool.query(
    `select format('%I', tablename) as name from pg_tables
      where schemaname in ('public', 'pgboss') and tablename not like 'test_%'`,
  );
  const rows: string[] = [];
  for (const { name } of tables.rows) {
    const found = await database.pool
      .query(`select coalesce(string_agg(t::text, e'\\n'), '') as rows from ${name} t`)
      .catch(() =>
        database.pool.query(`select coalesce(string_agg(t::text, e'\\n'), '') as rows from pgboss.${name} t`),
      );
    rows.push(found.rows[0].rows);
  }
  const answers = await Promise.all(
    ids.map(async (id) => {
      const path = `/api/v1/execution/status?execution_id=${id}&include=outputs`;
      return (await fetch(engine.url + path)).text();
    }),
  );
  const metrics = await (await fetch(`${engine.url}/metrics`)).text();
  return [...rows, ...answers, ...calledBack, metrics, engine.output()].join('\n');
}

/** What of a secret is in a text; its first and last letters stand for it, and its bytes as they may be written. */
function tracesOf(text: string, secret: string): string[] {
  const parts = secret.split(/[^A-Za-z0-9]+/).filter((part) => part.length >= 6);
  const pieces = parts.flatMap((part) => (/^\d+$/.test(part) ? [part] : [part.slice(0, 4), part.slice(-4)]));
  const coded = Object.keys({ ...BYTE_SPELLINGS, ...PLAIN_BYTE_SPELLINGS }).flatMap((name) =>
    parts.map((part) => write(part, [name]).slice(4, -5)),
  );
  return [...pieces, ...coded.filter((piece) => piece.length >= 5)]
    .map((piece) => text.indexOf(piece))
    .filter((at) => at >= 0)
    .map((at) => text.slice(Math.max(0, at - 80), at + 80));
}

/** Runs the definitions, some at a time. */
async function endsOf(definitions: readonly JsonObject[]): Promise<string[]> {
  const ids: string[] = [];
  const left = [...definitions];
  const runNext = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const template = await engine.publish(next);
      const id = await engine.start(template, { callback_url: `${peer.origin}/called-back` });
      await engine.end(id);
      ids.push(id);
    }
  };
  await Promise.all(Array.from({ length: 6 }, runNext));
  return ids;
}

async function allCalledBack(count: number): Promise<void> {
  await until(() => calledBack.length >= count);
}

test('no door lets a secret out, however it is written', async () => {
  const samples = fc.sample(leaks, { numRuns: 60, seed: SEED });
  const byHandlers = samples.map(({ name, spelling }, at) => {
    const before = Math.floor(draw() * 3) * 9_980;
    const door = LEAK_DOORS[at % LEAK_DOORS.length]!;
    return [`h${at}`, { type: 'leak', with: { door, secret: name, spellings: spelling, before } }] as const;
  });
  const ids = await endsOf([
    { onFailure: 'continue', steps: Object.fromEntries(byHandlers) },
    ...samples.slice(0, 8).flatMap(({ name }) => byExpressions(`secrets.${name}`)),
    ...['PIN', 'KEY'].flatMap((name) => byExpressions(`secrets.${name}`)),
    ...numbersAndKeys(),
  ]);
  await allCalledBack(ids.length);
  const outside = await everythingOutside(ids);
  // It did get there, and left a mask.
  expect(outside.split('***').length).toBeGreaterThan(300);
  for (const secret of Object.values(secrets)) expect(tracesOf(outside, secret)).toEqual([]);
});

/** One secret through expressions, parameters, scripts and HTTP. */
function byExpressions(secret: string): JsonObject[] {
  const inFull = `\${{ ${secret} }}`;
  const thrown = (text: string) => `\${{ (() => { throw new Error(${text}) })() }}`;
  const url = peer.origin;
  return [
    { output: { a: inFull, url: `\${{ encodeURIComponent(${secret}) }}` }, steps: { a: { type: 'noop' } } },
    { output: thrown(secret), steps: { a: { type: 'noop' } } },
    { output: thrown(`'x'.repeat(1990) + ${secret}`), steps: { a: { type: 'noop' } } },
    {
      onFailure: 'continue',
      steps: {
        value: {
          type: 'transform',
          with: { value: { json: `\${{ JSON.stringify({ k: JSON.stringify([${secret}]) }) }}` } },
        },
        throws: { type: 'noop', with: { value: thrown(`'x'.repeat(1985) + ${secret}`) } },
        guard: { type: 'noop', when: thrown(secret) },
        key: { type: 'noop', concurrency: { key: `${'k'.repeat(190)}${inFull}`, limit: 1 } },
        'bad-key': { type: 'noop', rateLimit: { key: thrown(secret), limit: 1, per: '1s' } },
        param: { type: 'delay', with: { for: `${'5'.repeat(55)}${inFull}` } },
        log: { type: 'log', with: { message: `${'l'.repeat(9_990)}${inFull}` } },
        fail: { type: 'fail', with: { message: inFull, details: { at: inFull } } },
        script: {
          type: 'script',
          with: {
            input: inFull,
            code: 'console.log("x".repeat(9_990) + input); throw new Error("x".repeat(1_990) + input)',
          },
        },
        echo: {
          type: 'http',
          with: {
            url,
            query: { echo: inFull },
            headers: { 'x-key': `\${{ encodeURIComponent(${secret}) }}` },
          },
        },
        refused: { type: 'http', with: { url, query: { echo: inFull, status: 404, before: 4_090 } } },
        'refused-whole': { type: 'http', with: { url, query: { echo: inFull, status: 404 } } },
        nowhere: { type: 'http', with: { url: `http://127.0.0.1:1/\${{ encodeURIComponent(${secret}) }}` } },
        'no-url': { type: 'http', with: { url: `no url \${{ ${secret} }}` } },
        body: { type: 'http', with: { url, method: 'POST', body: { key: inFull } } },
      },
    },
  ];
}

function numbersAndKeys(): JsonObject[] {
  return [
    {
      steps: {
        number: {
          type: 'transform',
          with: { value: { pin: '${{ Number(secrets.PIN) }}', more: '${{ [Number(secrets.PIN) * 10] }}' } },
        },
        keys: {
          type: 'transform',
          with: { value: '${{ Object.fromEntries([[secrets.S0, 1], [secrets.S1, 2], ["plain", 3]]) }}' },
        },
      },
    },
  ];
}

test('a number that shows a secret is stored as the mask, and secrets as keys stay apart', async () => {
  const [id] = await endsOf(numbersAndKeys());
  const end = await engine.end(id!);
  expect(stepOf(end, 'number').outputs).toEqual({ pin: '***', more: ['***'] });
  expect(stepOf(end, 'keys').outputs).toEqual({ '***': 1, '***2': 2, plain: 3 });
});

test('the log says where a handler threw, with its execution, step and attempt', async () => {
  const [id] = await endsOf([
    { steps: { thrower: { type: 'leak', with: { door: 'throws', secret: 'S0', spellings: [] } } } },
  ]);
  const [failed] = await endsOf([{ steps: { planned: { type: 'fail', with: { message: 'planned' } } } }]);
  const lines = engine
    .output()
    .split('\n')
    .filter((line) => line.includes('A handler threw'))
    .map((line) => JSON.parse(line));
  const thrown = lines.find(({ execution }) => execution === id);
  expect(thrown).toMatchObject({ level: 'info', step: 'thrower', attempt: 1, type: 'leak' });
  expect(thrown.err.stack).toMatch(/leaking\.ts:\d+/);
  expect(thrown.err.stack).toContain('caused by: TypeError');
  const planned = lines.find(({ execution }) => execution === failed);
  expect(planned).toMatchObject({
    level: 'debug',
    step: 'planned',
    err: { stack: expect.stringMatching(/fail\.ts:\d+/) },
  });
});

test.each([
  'postgres://me:p4#xq/x@qx@127.0.0.1:1/app',
  'postgres://me:p4xqxqxq@127.0.0.1:99999/app',
  'postgres://me:p4xqxqxq@[::1/app',
  'postgres://127.0.0.1:1/app?user=me&password=p4xqxqxq',
])('an engine that cannot use its database does not show the password of %s', async (url) => {
  const entry = join(import.meta.dir, '..', '..', '..', 'execution-engine.ts');
  const env = { PATH: process.env.PATH ?? '', DATABASE_URL: url, EXECUTION_ENGINE_PORT: '0' };
  const child = Bun.spawn([process.execPath, entry], { env, stdout: 'pipe', stderr: 'pipe' });
  let text = '';
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const piece of stream) {
      text += decoder.decode(piece, { stream: true });
      // It says why, and may wait for a database that comes up.
      if (text.includes('\n')) child.kill('SIGKILL');
    }
  };
  await Promise.all([read(child.stdout), read(child.stderr), child.exited]);
  expect(text).not.toMatch(/p4|xq|qx/);
  expect(text).not.toBe('');
});
