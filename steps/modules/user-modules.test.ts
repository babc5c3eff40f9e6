import { describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { failureOf } from '../../tests/support/http-peer.ts';
import { stepContext } from '../../tests/support/step-context.ts';
import { BUILT_IN_NAMES } from '../built-in-names.ts';
import { StepFailure } from '../step-type.ts';
import { loadUserStepTypes } from './user-modules.ts';

/** A folder with these modules; `await using` removes it. */
async function modules(files: Record<string, string>) {
  const cwd = await mkdtemp(join(tmpdir(), 'user-steps-'));
  for (const [name, source] of Object.entries(files)) await writeFile(join(cwd, name), source);
  return { cwd, [Symbol.asyncDispose]: () => rm(cwd, { recursive: true }) };
}

const SMS = `import type { X } from './nowhere.ts';
export default { type: 'sms', summary: 'Sends.', schema: { type: 'object' }, run: (c: unknown) => 'sent' };`;

/** The lines of the error when one module is loaded. */
async function problemsOf(source: string): Promise<string[]> {
  await using folder = await modules({ 'm.ts': source });
  return (await failureOf(loadUserStepTypes(['m.ts'], folder.cwd))).message.split('\n').slice(1);
}

describe('a user module', () => {
  test('of TypeScript gives its step type, by a path relative to the folder or an absolute one', async () => {
    await using folder = await modules({ 'sms.ts': SMS });
    const [type] = await loadUserStepTypes(['./sms.ts'], folder.cwd);
    expect(type).toMatchObject({ type: 'sms', summary: 'Sends.' });
    expect(type!.run(stepContext())).toBe('sent');
    expect(await loadUserStepTypes([join(folder.cwd, 'sms.ts')], '/')).toHaveLength(1);
  });

  test('gives several types in order', async () => {
    const list = `export default ['a', 'b'].map((type) => ({ type, summary: '', schema: true, run() {} }));`;
    await using folder = await modules({ 'list.mjs': list, 'sms.ts': SMS });
    const types = await loadUserStepTypes(['list.mjs', 'sms.ts'], folder.cwd);
    expect(types.map(({ type }) => type)).toEqual(['a', 'b', 'sms']);
  });

  test('may export an instance of a class, and leave the summary out', async () => {
    const source = `class Counter { type = 'count'; schema = {}; #n = 41; run() { return this.next(); } next() { return 42; } }
export default new Counter();`;
    await using folder = await modules({ 'c.mjs': source });
    const [type] = await loadUserStepTypes(['c.mjs'], folder.cwd);
    expect(type!.run(stepContext())).toBe(42);
  });

  test('finds execution-engine/steps in every folder, and gets that of this engine even beside a copy', async () => {
    const source = `import { defineStep, StepFailure } from 'execution-engine/steps';
const run = () => { throw new StepFailure('mine', 'it'); };
export default defineStep({ type: 'x', params: { type: 'object' }, run });`;
    await using folder = await modules({ 'x.ts': source });
    const copy = join(folder.cwd, 'node_modules', 'execution-engine');
    await mkdir(copy, { recursive: true });
    await writeFile(
      join(copy, 'package.json'),
      '{"name":"execution-engine","exports":{"./steps":"./copy.mjs"}}',
    );
    await writeFile(join(copy, 'copy.mjs'), 'throw new Error("the copy")');
    const [type] = await loadUserStepTypes(['x.ts'], folder.cwd);
    expect(type!.schema).toEqual({ type: 'object' });
    expect(() => type!.run(stepContext())).toThrow(StepFailure);
  });

  test('without modules there is nothing', async () => {
    expect(await loadUserStepTypes([], '/')).toEqual([]);
  });

  test('cannot have other things than functions and texts where those are expected', async () => {
    for (const name of ['routes', 'readsInputs', 'review', 'summary']) {
      const [line] = await problemsOf(`export default { type: 'x', schema: {}, run() {}, ${name}: 7 };`);
      expect(line).toContain(`has "${name}" that is no `);
    }
  });

  test.each([
    ['no default export', `export const x = 1;`, 'm.ts: has no default export'],
    ['something else', `export default 'sms';`, 'm.ts: exports "sms" where a step type'],
    ['null', `export default null;`, 'm.ts: exports none where a step type'],
    ['no type', `export default { schema: {}, run() {} };`, 'm.ts: a step type needs "type"'],
    ['a bad type', `export default { type: 'a b', schema: {}, run() {} };`, 'step type "a b" needs "type"'],
    ['no schema', `export default { type: 'x', run() {} };`, 'step type "x" needs "schema"'],
    ['no run', `export default { type: 'x', schema: {} };`, 'step type "x" needs "run"'],
    [
      'bad routes',
      `export default { type: 'x', schema: {}, run() {}, routes: ['a'] };`,
      'has "routes" that is no function',
    ],
    [
      'bad deferred',
      `export default { type: 'x', schema: {}, run() {}, deferred: 'code' };`,
      'has "deferred" that is no list',
    ],
    [
      'steps inside',
      `export default { type: 'x', schema: {}, run() {}, holds: [{ steps: '/steps', names: [] }] };`,
      'only built-in types hold steps',
    ],
    [
      'bad readsInputs',
      `export default { type: 'x', schema: {}, run() {}, readsInputs: 'yes' };`,
      'has "readsInputs" that is no function but "yes"',
    ],
  ])('with %s is refused with what is missing', async (_name, source, expected) => {
    const lines = await problemsOf(source);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(expected);
  });

  test('has all its problems reported at once', async () => {
    expect(await problemsOf(`export default [{ type: 'x' }, { run() {}, schema: true }];`)).toHaveLength(3);
  });

  test('cannot take the name of a built-in type: the module and the setting are named', async () => {
    for (const name of BUILT_IN_NAMES) {
      await using folder = await modules({ 'mine.ts': SMS.replaceAll('sms', name) });
      const { message } = await failureOf(loadUserStepTypes(['mine.ts'], folder.cwd));
      expect(message).toStartWith('EXECUTION_ENGINE_STEPS cannot be used:');
      expect(message).toContain(`- mine.ts: the name "${name}" is taken by a built-in step type`);
    }
  });

  test('cannot take a name that another one has', async () => {
    await using folder = await modules({ 'one.ts': SMS, 'two.ts': SMS });
    const failure = await failureOf(loadUserStepTypes(['one.ts', 'two.ts'], folder.cwd));
    expect(failure.message).toEndWith('\n- two.ts: the name "sms" is taken by a step type of one.ts');
  });
});

/** A module `m.ts` or `m.mjs`, other files beside it, and where its fault is, on each runtime that runs engines. */
const FAULTS: Readonly<Record<string, { files: Record<string, string>; place: string; message: RegExp }>> = {
  'syntax of TypeScript': {
    files: { 'm.ts': `const a: number = 1;\n\nexport default { type: 'x'\nconst b = a;\n` },
    place: 'm.ts:4:1',
    message: /const/,
  },
  'syntax of JavaScript': {
    files: { 'm.mjs': `export default {\n  type 'x',\n};\n` },
    place: 'm.mjs:2:8',
    message: /Unexpected|Expected/,
  },
  'text without its end': {
    files: { 'm.ts': 'export default 1;\nconst text = `\n' },
    place: 'm.ts:2:14',
    message: /Unterminated/,
  },
  'syntax of a file that it imports': {
    files: { 'm.mjs': `import './lib.mjs';\nexport default 1;\n`, 'lib.mjs': '\n  let = ;\n' },
    place: 'lib.mjs:2:',
    message: /Unexpected|Expected/,
  },
  'syntax of CommonJS': {
    files: { 'm.mjs': `import './lib.cjs';\nexport default 1;\n`, 'lib.cjs': 'module.exports = { a: 1 ;\n' },
    place: 'lib.cjs:1:25',
    message: /Unexpected|Expected/,
  },
  'an import of a file that is not there': {
    files: {
      'm.ts': `import { a } from './a.ts';\nimport { b } from './b.ts';\nexport default a + b;\n`,
      'a.ts': 'export const a = 1;\n',
    },
    place: 'm.ts:2:20',
    message: /Cannot find module/,
  },
  'an import of a package that is not there': {
    files: { 'm.ts': `\nimport nothing from 'no-such-package';\nexport default nothing;\n` },
    place: 'm.ts:2:22',
    message: /Cannot find package 'no-such-package'/,
  },
  'an import of a name that is not there': {
    files: {
      'm.ts': `import {\n  a,\n  b,\n} from './a.ts';\nexport default a + b;\n`,
      'a.ts': 'export const a = 1;\n',
    },
    place: 'm.ts:3:3',
    message: /named 'b'.*import type/,
  },
  'a thrown error': {
    files: {
      'm.ts': `interface A {\n  a: 1;\n}\nfunction fail() {\n  throw new Error('boom');\n}\nfail();\n`,
    },
    place: 'm.ts:5:',
    message: /boom/,
  },
  'an error thrown by a file that it imports': {
    files: {
      'm.ts': `\nimport './lib.ts';\nexport default 1;\n`,
      'lib.ts': `\n\nthrow new Error('boom');\n`,
    },
    place: 'lib.ts:3:',
    message: /boom/,
  },
  'a promise that is rejected': {
    files: { 'm.mjs': `export default await (async () => {\n  throw new TypeError('late');\n})();\n` },
    place: 'm.mjs:2:',
    message: /late/,
  },
  'text that is thrown': { files: { 'm.ts': `throw 'boom';\n` }, place: '', message: /boom/ },
  'no file': { files: { 'other.ts': '' }, place: '', message: /there is no file .*m\.ts$/ },
};

test.each(Object.entries(FAULTS))(
  'a module with %s is told with file, line, column and message',
  async (_, fault) => {
    await using folder = await modules(fault.files);
    const entry = 'm.mjs' in fault.files ? 'm.mjs' : 'm.ts';
    const [line] = await problemsElsewhere([entry], folder.cwd);
    expect(line).toStartWith(`${entry}: cannot be loaded: ${fault.place}`);
    expect(line).toMatch(fault.message);
  },
);

test('the faults of all modules are told at once', async () => {
  await using folder = await modules({ 'a.mjs': 'throw new Error("one")', 'b.mjs': 'export default {' });
  const lines = await problemsElsewhere(['a.mjs', 'nope.ts', 'b.mjs'], folder.cwd);
  expect(lines.map((line) => line.split(':')[0])).toEqual(['a.mjs', 'nope.ts', 'b.mjs']);
});

const TEST_RUNTIME = process.env.EXECUTION_ENGINE_TEST_RUNTIME ?? process.execPath;

/** The problems of modules that a process of the runtime under test finds. */
async function problemsElsewhere(paths: readonly string[], cwd: string): Promise<string[]> {
  const program = new URL('../../tests/support/steps/load-modules.ts', import.meta.url).pathname;
  const child = Bun.spawn([TEST_RUNTIME, program, ...paths], { cwd, stdout: 'pipe' });
  return JSON.parse(await new Response(child.stdout).text()) as string[];
}
