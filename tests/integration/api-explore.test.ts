import { test } from 'bun:test';
import { engineDatabase, startTestEngine } from '../support/engine.ts';
test('x', async () => {
  const database = await engineDatabase();
  const engine = await startTestEngine({ url: database.url });
  const t = await engine.publish({ steps: { a: { type: 'transform', with: { value: '${{ input }}' } } } });
  const show = async (label: string, p: Promise<Response>) => {
    try { const r = await p; console.log(label.slice(0,80), r.status, (await r.text()).slice(0, 300)); } catch (e) { console.log(label.slice(0,80), 'THREW', String(e)); }
  };
  const u = engine.url;
  for (const q of ['since=0000-01-01T00:00:00Z','since=2020-01-01T00:00:00%2B23:59','until=9999-12-31T23:59:59-23:59','since=2020-02-30T00:00:00Z','since=2020-01-01T00:00:00.' + '1'.repeat(200) + 'Z', 'since=2020-01-01T24:00:00Z', 'since=2016-12-31T23:59:60Z','cursor=x','cursor=' + Buffer.from('1:abc').toString('base64url'), 'q=%25', 'q=%5C', 'q=%ff', 'q=%zz', 'tag=%F0%9F%98%80', 'tag=%ED%A0%80', 'limit=501','limit=00001'])
    await show(q, fetch(`${u}/admin/executions?${q}`));
  for (const p of ['%ff', '%zz', '%00', '%2e%2e', 'a%2fb', '..%2f..', '%', 'x'.repeat(9000)]) await show('tpl ' + p, fetch(`${u}/api/v1/templates/${p}`));
  const post = (path: string, body: BodyInit, headers = {}) => fetch(u + path, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
  for (const s of ['0000-01-01T00:00:00Z', '9999-12-31T23:59:59-23:59', '2020-01-01T00:00:00+23:59', '0001-01-01T00:00:00+23:59', '3650d', '0ms', '2999-01-01T00:00:00.123456789Z','2016-12-31T23:59:60Z'])
    await show('after ' + s, post('/api/v1/execution/start', JSON.stringify({ template: t, start_after: s })));
  for (const s of ['{"__proto__":{"x":1}}', '{"constructor":{"prototype":{"x":1}}}', '-0', '1e400', '"\\u0000"', '"\\ud800"', '{"\\u0000":1}', '{"a":1,"a":2}', '"\\uffff"', '"\\u0001\\u007f\\u2028"', '[]', 'null', '1e308', '9007199254740993', '0.1', '123456789012345678901234567890', '5e-324', '{"":1}', '{"$ref":"x","toJSON":1,"then":1,"hasOwnProperty":1,"length":-1,"valueOf":0,"toString":"z"}']) {
    const r = await post('/api/v1/execution/start', `{"template":"${t}","inputs":${s}}`);
    const b: any = await r.json();
    console.log(s, r.status, r.status < 300 ? '' : JSON.stringify(b));
    if (b.execution_id) { const e = await fetch(`${u}/api/v1/execution/status?wait=5s&execution_id=${b.execution_id}`); const x = await e.text(); console.log('   ', x.match(/"status":"\w+"/)?.[0], x.match(/"inputs":.*?"progress"/)?.[0]); }
  }
  const deep = (n: number) => '['.repeat(n) + ']'.repeat(n);
  for (const n of [500, 511, 512, 513, 10000]) await show('deep ' + n, post('/api/v1/execution/start', `{"template":"${t}","inputs":${deep(n)}}`));
  const big = (n: number) => `{"template":"${t}","inputs":"${'x'.repeat(n)}"}`;
  for (const n of [10_000_000, 10_485_760 - big(0).length, 10_485_760 - big(0).length + 1, 11_000_000]) await show('big ' + n, post('/api/v1/execution/start', big(n)));
  const chunk = new Uint8Array(1_000_000).fill(120);
  let sent = 0;
  const stream = () => { sent = 0; return new ReadableStream({ pull: (c) => { if (sent++ < 12) c.enqueue(chunk); else c.close(); } }); };
  await show('chunked', post('/api/v1/execution/start', stream()));
  console.log('sent', sent);
  await show('many', post('/api/v1/execution/start-many', JSON.stringify({ items: Array(5000).fill({ template: t }) })));
  await show('proto outer', post('/api/v1/execution/start', `{"template":"${t}","__proto__":{"x":1}}`));
  await show('bom', post('/api/v1/execution/start', `\ufeff{"template":"${t}"}`));
  await show('2bom', post('/api/v1/execution/start', `\ufeff\ufeff{"template":"${t}"}`));
  await show('pub arr', post('/api/v1/templates', `[]`));
  await show('pub proto', post('/api/v1/templates', `{"name":"p","steps":{"__proto__":{"type":"noop"}}}`));
  await show('pub ctor', post('/api/v1/templates', `{"name":"p","steps":{"constructor":{"type":"noop"},"toString":{"type":"noop","needs":["constructor"]}}}`));
  await show('pub proto2', post('/api/v1/templates', `{"name":"p2","__proto__":{"steps":{"a":{"type":"noop"}}}}`));
  await show('pub proto with', post('/api/v1/templates', `{"name":"p3","steps":{"a":{"type":"noop","with":{"__proto__":{"x":1}}}}}`));
  await show('get p3', fetch(`${u}/api/v1/templates/p3`));
  await show('run p3', post('/api/v1/execution/start', '{"template":"p3"}'));
  const y = (text: string) => show('Y ' + JSON.stringify(text), post('/api/v1/templates', text, { 'content-type': 'application/yaml' }));
  await y('a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n');
  await y('name: t1\nsteps:\n\ta: { type: noop }\n');
  await y('name: t2\nsteps:\n  a: { type: !!js/function "function(){}" }\n');
  await y('name: t2b\nsteps:\n  a: !foo { type: noop }\n');
  await y('name: t3\nsteps:\n  a: { type: noop, with: { x: !!binary aGVsbG8= } }\n');
  await y('name: t4\nsteps:\n  a: { type: noop, with: { x: .nan } }\n');
  await y('name: t5\nsteps:\n  a: { type: noop, with: { x: 2020-01-01 } }\n');
  await y('name: t6\nsteps:\n  a: { type: noop, with: { ? [a, b] : c } }\n');
  await y('name: t7\nsteps:\n  a: { type: noop, with: { x: !!set { a, b } } }\n');
  await y('name: t8\n---\nname: t9\n');
  await y('name: t10\nsteps:\n  a: &a { type: noop }\n  b: *a\n');
  await y('name: t11\nsteps: &s\n  a: { type: noop, with: *s }\n');
  await y('name: t12\n__proto__: { x: 1 }\nsteps: { a: { type: noop } }\n');
  await y('name: t13\nsteps: { a: { type: noop, with: { __proto__: { x: 1 } } } }\n');
  await y('name: t14\nname: t15\nsteps: { a: { type: noop } }\n');
  await y('[' .repeat(10000));
  await y('a: '.repeat(3000));
  await y('- '.repeat(10000) + 'x');
  await y('name: t16\nsteps: { a: { type: noop, with: { x: 0x1F, y: 0o17, z: 1_000, w: yes, v: 1e400 } } }\n');
  await y('%TAG ! tag:x,2000:\n---\nname: t17\nsteps: { a: { type: noop } }');
  await y('name: "t18\\0"\nsteps: { a: { type: noop } }');
  await y('\ufeffname: t19\nsteps: { a: { type: noop } }');
  console.log('polluted', ({} as any).x, (await fetch(u + '/health/ready')).status);
  for (const h of [{ 'idempotency-key': 'a b' }, { 'idempotency-key': '' }, { 'idempotency-key': 'é' }, { 'idempotency-key': 'x'.repeat(256) }]) await show(JSON.stringify(h), post('/api/v1/execution/start', `{"template":"${t}"}`, h));
  for (const m of ['PUT','PATCH','OPTIONS','TRACE','FOO']) await show(m, fetch(u + '/api/v1/execution/start', { method: m }));
  await engine.stop(); await database.drop();
}, 120_000);
