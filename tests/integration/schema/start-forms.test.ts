/**
 * A start is judged alike at both doors: every form of every option goes through HTTP and through `workflow_start`, and
 * the verdict, its code and what is stored are the same.
 */
import { expect, test } from 'bun:test';
import type { Json } from '../../../core/json/json.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;
let template: string;

fixtureForAll(
  async (fixture) => {
    database = await fixture.database();
    engine = await fixture.engine();
    template = await engine.publish({ steps: { a: { type: 'noop', with: {} } } });
  },
  { allFinal: false },
);

const ID = '0197a3c4-5b6d-7e8f-9012-3456789abcde';
const long = (length: number) => 'x'.repeat(length);
const many = (count: number) => Array.from({ length: count }, (_, at) => `t${at}`);
const ODD: readonly Json[] = [null, true, {}, [], '', ' '];

/** Values by option; what is wrong in one of them is wrong at both doors. */
const OPTIONS: Readonly<Record<string, readonly Json[]>> = {
  version: [...ODD, 1, 0, -1, 1.5, 1.0, '1', 2, 2_147_483_647, 2_147_483_648, 1e300],
  priority: [...ODD, 0, 5, -5, 0.5, '5', 1_000_000, -1_000_000, 1_000_001, -1_000_001, 9_007_199_254_740_991],
  idempotency_key: [
    ...ODD,
    ...[7, 'order-7', 'ümlaut', 'a b', 'a\tb', 'a\nb', 'a\u0001b', 'a\u007fb', 'a\u0080b', '\u{1f600}'],
    ...[long(255), long(256), '\u{1f600}'.repeat(255), '\u{1f600}'.repeat(256), long(400)],
  ],
  start_after: [
    ...ODD,
    ...[
      '5m',
      '250ms',
      '30s',
      '2h',
      '1d',
      '0s',
      '007s',
      '3650d',
      '3651d',
      '99999d',
      '1.5s',
      '1 s',
      '5M',
      '-5m',
      '5',
    ],
    ...[
      '9'.repeat(40),
      `${'9'.repeat(40)}s`,
      0,
      1_500,
      -1,
      1.5,
      3650 * 86_400_000,
      3650 * 86_400_000 + 1,
      1e300,
    ],
    ...['2035-01-31T08:00:00Z', '2035-01-31T08:00Z', '2035-01-31T08:00:00.123Z', '2035-01-31T08:00:00.1239Z'],
    ...['2035-01-31T08:00:00.123456789Z', '2035-01-31T08:00:00.1234567891Z', '2035-01-31T08:00:00+02:00'],
    ...[
      '2035-01-31T08:00:00-23:59',
      '2035-01-31T08:00:00+24:00',
      '2035-01-31T08:00:00+02:60',
      '2035-01-31T08:00:00',
    ],
    ...[
      '2035-01-31',
      '2035-02-29T00:00:00Z',
      '2036-02-29T00:00:00Z',
      '2035-02-30T00:00:00Z',
      '2100-02-29T00:00:00Z',
    ],
    ...['2035-13-01T00:00:00Z', '2035-00-01T00:00:00Z', '2035-01-00T00:00:00Z', '2035-01-32T00:00:00Z'],
    ...['2035-04-31T00:00:00Z', '2035-01-01T24:00:00Z', '2035-01-01T23:60:00Z', '2035-01-01T23:59:60Z'],
    ...[
      '0001-01-01T00:00:00Z',
      '0001-01-01T00:00:00+01:00',
      '9999-12-31T23:59:59.999Z',
      '9999-12-31T23:59:59-01:00',
    ],
    ...['294000-01-01T00:00:00Z', '+012035-01-01T00:00:00Z', '2020-01-01T00:00:00Z', '2035-01-31 08:00:00Z'],
    ...['2035-01-31T08:00:00z', '2035-01-31t08:00:00Z', '2035-1-31T08:00:00Z', ' 2035-01-31T08:00:00Z'],
    ...[
      'infinity',
      '-infinity',
      'now',
      'tomorrow',
      'epoch',
      'today',
      'allballs',
      '2035-01-31T08:00:00 Europe/Berlin',
    ],
  ],
  tags: [
    ...[
      null,
      true,
      {},
      '',
      'x',
      5,
      [],
      [null],
      [5],
      [['x']],
      [''],
      ['x'],
      ['ü', 'x'],
      ['x', 'x'],
      ['a,b', 'a"b', '{}'],
    ],
    ...[
      many(64),
      many(65),
      many(200),
      [long(128)],
      [long(129)],
      ['\u{1f600}'.repeat(128)],
      ['\u{1f600}'.repeat(129)],
      [long(800_000)],
    ],
  ],
  callback_url: [
    ...ODD,
    ...[
      7,
      'https://shop.example/done',
      'http://shop.example',
      'HTTPS://shop.example/',
      'https://shop.example?x=1#y',
    ],
    ...[
      'https://127.0.0.1:8080/x',
      'https://[::1]:8080/x',
      'https://shop.example:/x',
      'https://shop.example:65535',
    ],
    ...[
      'https://shop.example:65536',
      'https://shop.example:99999/x',
      'https://shop.example:x/',
      'https://[::1/x',
    ],
    ...[
      'https://user:secret@shop.example/',
      'https://user@shop.example/',
      'https://shop.example/@x',
      'shop.example',
    ],
    ...[
      'file:///etc/passwd',
      'javascript:alert(1)',
      'ftp://shop.example',
      'https://',
      'https:///x',
      'https://shop exam.ple/',
    ],
    ...[
      `https://shop.example/${long(2_048 - 21)}`,
      `https://shop.example/${long(2_049 - 21)}`,
      'https://münchen.example/ü',
    ],
    ...[
      '256.1.1.1',
      '1.2.3.4.5',
      '1.2.3.4',
      '255.255.255.255',
      '1.2.3.4.',
      '01.2.3.4',
      '1.2',
      '1',
      '0x7f.1',
      'a.0x',
      'a.1',
      'a.1.',
    ].map((host) => `http://${host}/`),
    ...[
      'xn--a',
      'xn--mnchen-3ya.example',
      'a.b1',
      'a.1b',
      '1.a',
      'a..b',
      'a_b',
      '-a',
      'a。1',
      'a%41',
      'a\u0001b',
      'a\nb',
    ].map((host) => `http://${host}/`),
    ...[
      '::',
      '::1',
      '1::2::3',
      '1:2:3:4:5:6:7:8',
      '1:2:3:4:5:6:7:8:9',
      '::ffff:1.2.3.4',
      ':::',
      '12345::',
      '1.2.3.4',
      '',
    ].map((host) => `http://[${host}]:8080/x`),
    ...[
      'http://x\n/',
      'http://x/\n',
      ' http://x/',
      'http://x/ ',
      'http://x/a b',
      'http://x\t/',
      'http:x',
      'http:\\\\x/',
    ],
    ...['http://x:0/', 'http://x:1/', 'http://x:00080/', `http://x/${'\u{1f600}'.repeat(1_500)}`],
  ],
  user_id: [
    ...ODD,
    ID,
    ID.toUpperCase(),
    ID.slice(1),
    `{${ID}}`,
    ID.replaceAll('-', ''),
    7,
    `${ID} `,
    '00000000-0000-0000-0000-000000000000',
  ],
  workspace_id: [null, 7, ID.slice(1), ''],
  nonsense: [1],
};

function nested(depth: number): Json {
  let value: Json = 1;
  for (let at = 0; at < depth; at += 1) value = at % 2 === 0 ? [value] : { x: value };
  return value;
}

/** As text: JSON.stringify would round some of them. */
const INPUTS: Readonly<Record<string, string>> = {
  null: 'null',
  'an object': '{"a":[1,{"b":null}],"ü":"\\u00e9"}',
  'a number': '5',
  'a list': '[1,2]',
  'an integer that is exact': '{"n":9007199254740992}',
  'an integer that is not': '{"n":9007199254740993}',
  'one deep in a list': '{"a":[{"b":[1,12345678901234567890]}]}',
  'a number that no double holds': '{"n":1e400}',
  '511 levels': JSON.stringify(nested(511)),
  '512 levels': JSON.stringify(nested(512)),
  '600 levels': JSON.stringify(nested(600)),
};

type Verdict = { readonly code: string } | { readonly id: string };

async function overHttp(body: string): Promise<Verdict> {
  const response = await fetch(`${engine.url}/api/v1/execution/start`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const answer = (await response.json()) as { code?: string; execution_id?: string };
  return answer.execution_id === undefined ? { code: answer.code! } : { id: answer.execution_id };
}

async function overSql(name: string, inputs: string, options: string): Promise<Verdict> {
  try {
    const { rows } = await database.pool.query('select workflow_start($1, $2, $3) as id', [
      name,
      inputs,
      options,
    ]);
    return { id: rows[0].id };
  } catch (error) {
    return { code: String((error as { detail?: string }).detail ?? error) };
  }
}

/** What is stored of a start, without what is its own and what the engine forgets when it begins; its key is free again. */
async function stored(verdict: Verdict): Promise<object> {
  if ('code' in verdict) return verdict;
  const { rows } = await database.pool.query(
    `with old as (select id, idempotency_key from workflow_executions where id = $1)
     update workflow_executions e set idempotency_key = null from old where old.id = e.id
     returning e.workflow_template_id, e.inputs, e.user_id, e.workspace_id, e.priority, e.tags, e.requested_version,
               e.callback_url, old.idempotency_key, case when e.start_after > now() then e.start_after::text end as start_after, e.created_at`,
    [verdict.id],
  );
  const [{ created_at, ...row }] = rows;
  return { ...row, created_at: created_at instanceof Date };
}

/** A delay counts from its own start: its length in minutes. One that is over may be forgotten already. */
async function storedDelay(verdict: Verdict): Promise<object> {
  if ('code' in verdict) return verdict;
  const { rows } = await database.pool.query(
    `select round(extract(epoch from coalesce(start_after, created_at) - created_at) / 60) as minutes
       from workflow_executions where id = $1`,
    [verdict.id],
  );
  return rows[0];
}

const isDelay = (option: string, value: Json) =>
  option === 'start_after' && (typeof value === 'number' || /^\d+[a-z]+$/.test(String(value)));

for (const [option, values] of Object.entries(OPTIONS))
  test(`${option} has the same forms over HTTP and in SQL`, async () => {
    for (const value of values) {
      const show = JSON.stringify(value).slice(0, 80);
      const what = isDelay(option, value) ? storedDelay : stored;
      const http = await what(await overHttp(JSON.stringify({ template, inputs: {}, [option]: value })));
      const sql = await what(await overSql(template, '{}', JSON.stringify({ [option]: value })));
      expect({ [option]: show, ...sql }).toEqual({ [option]: show, ...http });
    }
  });

test('inputs have the same forms over HTTP and in SQL', async () => {
  for (const [what, inputs] of Object.entries(INPUTS)) {
    const http = await stored(await overHttp(`{"template":"${template}","inputs":${inputs}}`));
    const sql = await stored(await overSql(template, inputs, '{}'));
    expect({ what, ...sql }).toEqual({ what, ...http });
  }
});

test('a template has the same names over HTTP and in SQL', async () => {
  for (const name of [template, 'no-such-template', '', ' ', 'a b', '-a', long(128), long(129), 'ü']) {
    const http = await stored(await overHttp(JSON.stringify({ template: name })));
    const sql = await stored(await overSql(name, '{}', '{}'));
    expect({ name, ...sql }).toEqual({ name, ...http });
  }
});

test('the time zone and date style of the session change nothing', async () => {
  const client = await database.pool.connect();
  try {
    await client.query(
      `begin; set local timezone = 'Asia/Kolkata'; set local datestyle = 'SQL, DMY'; set local extra_float_digits = -15`,
    );
    const options = { start_after: '2035-02-03T04:05:06.789+02:00' };
    const { rows } = await client.query('select workflow_start($1, $2, $3) as id', [
      template,
      { n: 0.1 },
      options,
    ]);
    const { rows: found } = await client.query(
      `select start_after = '2035-02-03T02:05:06.789Z'::timestamptz as same from workflow_executions where id = $1`,
      [rows[0].id],
    );
    expect(found).toEqual([{ same: true }]);
  } finally {
    await client.query('rollback');
    client.release();
  }
});
