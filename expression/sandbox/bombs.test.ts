/**
 * Expressions made to hang, to eat memory or to break the sandbox: each is contained, and its neighbours go on.
 */
import { afterAll, expect, test } from 'bun:test';
import { sized } from '../../tests/support/core/size.ts';
import { until } from '../../tests/support/until.ts';
import type { ExpressionError } from '../expression-error.ts';
import { createSandbox } from './sandbox.ts';

const sandbox = createSandbox({ size: 2, timeoutMs: 500, memoryBytes: 32 * 1024 * 1024 });
afterAll(() => sandbox.close());

/** A cheap evaluation has the time that a busy machine needs for it. */
const PATIENT = { timeoutMs: 60_000 };

const ALL_BOMBS = [
  'new Array(5e8).join("x")',
  "new Array(1e9) + ''",
  '(() => { const c = []; while (1) c.push("x".repeat(1e6)) })()',
  '"a".repeat(2e7).split("a".repeat(1e6) + "b")',
  '/^(a+)+$/.test("a".repeat(40) + "b")',
  '/(x+x+)+y/.exec("x".repeat(64))',
  '(() => { const f = () => f() + 1; return f() })()',
  '(() => { for (;;); })()',
  'JSON.parse("[".repeat(2e5) + "]".repeat(2e5))',
  '(() => { let a = []; for (let i = 0; i < 2e5; i++) a = [a]; return a })()',
  '"x".repeat(2 ** 30)',
  'new ArrayBuffer(2 ** 31)',
  'Array.from({ length: 1e9 }, (_, i) => i)',
  '[...Array(1e8).keys()]',
  '(() => { let s = "x"; for (;;) s += s })()',
  'Object.keys(new Proxy({}, { ownKeys() { for (;;); } }))',
  '({ toJSON() { for (;;); } })',
  '(() => { throw { get message() { for (;;); } } })()',
  '(2n ** (2n ** 24n)).toString().length',
  '[1, 2].sort(() => { for (;;); })',
  '"x".repeat(1e6).replace(/x/g, "y".repeat(1e3))',
  '[...(function* () { for (;;) yield 1 })()]',
  'String.fromCharCode(...new Array(5e6).fill(65))',
  'new Array(4e9).fill(0).indexOf(1)',
  '(() => { const m = new Map(); for (let i = 0; ; i++) m.set({}, i) })()',
  '"(".repeat(1e5).split("").map(() => new RegExp("(".repeat(5e4) + ")".repeat(5e4)))',
  '(() => { const a = [1]; for (const x of a) a.push(x) })()',
  '(() => { const o = {}; o.o = o; return o })()',
];
/** Many use up their time: a part of them has some of each kind. */
const BOMBS = sized(
  ALL_BOMBS.filter((_, at) => at % 4 === 0),
  ALL_BOMBS,
);

test('every bomb is answered, and the evaluations around it have their results', async () => {
  const codes = BOMBS.map((bomb) =>
    sandbox.evaluate(bomb, {}).then(
      () => 'harmless',
      (error: ExpressionError) => error.code,
    ),
  );
  const neighbours = BOMBS.map((_, n) => sandbox.evaluate(`Math.abs(${n})`, {}, PATIENT));
  expect(await Promise.all(neighbours)).toEqual(BOMBS.map((_, n) => n));
  const answers = Object.fromEntries((await Promise.all(codes)).map((code, n) => [BOMBS[n]!, code]));
  const contained = ['expression_timeout', 'expression_failed', 'output_not_storable'];
  expect(Object.entries(answers).filter(([, code]) => !contained.includes(code))).toEqual([]);
  expect(await sandbox.evaluate('[1].map(x => x)', {})).toEqual([1]);
});

test('a cheap evaluation that is asked for after a bomb is answered before it', async () => {
  const given = new AbortController();
  const call = { timeoutMs: 60_000, signal: given.signal };
  const bomb = sandbox
    .evaluate('(() => { for (;;); })()', {}, call)
    .catch(({ code }: ExpressionError) => code);
  const cheap = Array.from({ length: 20 }, () => sandbox.evaluate('Math.abs(-1)', {}));
  expect(await Promise.all(cheap)).toEqual(Array(20).fill(1));
  given.abort();
  expect(await bomb).toBe('aborted');
});

test('an evaluation is not over its time because the engine itself was frozen', async () => {
  const alone = createSandbox({ size: 1, timeoutMs: 200 });
  await alone.evaluate('[1].map((x) => x)', {});
  const [pid] = alone.processIds();
  process.kill(pid!, 'SIGSTOP');
  const answer = alone.evaluate('[2].map((x) => x)', {});
  await new Promise((resolve) => setImmediate(resolve));
  // More than four times its time.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
  let looks = 0;
  await until(() => looks++ === 5);
  process.kill(pid!, 'SIGCONT');
  expect(await answer).toEqual([2]);
  alone.close();
});

test('the event loop turns while a bomb runs that no interrupt reaches', async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const before = sandbox.counters.kills;
  const bomb = await sandbox
    .evaluate('"a".repeat(1e7).split("a".repeat(1e6) + "b")', {}, { timeoutMs: 200 })
    .catch((error: ExpressionError) => error.code);
  clearInterval(timer);
  expect(bomb).toBe('expression_timeout');
  expect(sandbox.counters.kills).toBe(before + 1);
  expect(turns).toBeGreaterThan(3);
});

test('scripts that never end are contained and do not hold expressions up', async () => {
  // The order of the starts does not matter here.
  await sandbox.evaluate('Math.abs(1)', {});
  const order: string[] = [];
  const endless = [
    'for (;;) await null',
    'const f = () => Promise.resolve().then(f); await f()',
    'const f = async () => { await null; await Promise.all([f(), f()]) }; await f()',
    'return { then(r) { this.then = this.then; for (;;); } }',
    'for (;;) console.log("x".repeat(1e5))',
  ];
  const call = { timeoutMs: 150, memoryBytes: 32 * 1024 * 1024, onLog: () => undefined };
  const scripts = endless.map((code) =>
    sandbox.runScript(code, null, call).catch((error: ExpressionError) => void order.push(error.code)),
  );
  await sandbox.evaluate('Math.abs(1)', {}).then(() => order.push('expression'));
  await Promise.all(scripts);
  expect(order[0]).toBe('expression');
  expect(
    order
      .slice(1)
      .filter((code) => !['script_timeout', 'script_out_of_memory', 'script_failed'].includes(code)),
  ).toEqual([]);
  expect(order).toHaveLength(endless.length + 1);
});

test('a process killed from outside costs nobody a result', async () => {
  const work = Array.from({ length: 30 }, (_, n) =>
    sandbox.evaluate(`(() => { let s = ${n}; for (let i = 0; i < 2e4; i++) s += 0; return s })()`, {}),
  );
  await work[0];
  process.kill(sandbox.processIds()[0]!, 'SIGKILL');
  expect(await Promise.all(work)).toEqual(Array.from({ length: 30 }, (_, n) => n));
});
