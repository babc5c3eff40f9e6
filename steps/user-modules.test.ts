import { describe, expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { failureOf } from '../tests/support/http-peer.ts';
import { stepContext } from '../tests/support/step-context.ts';
import { loadUserStepTypes } from './user-modules.ts';

/** A folder with these modules; `await using` removes it. */
async function modules(files: Record<string, string>) {
  const cwd = await mkdtemp(join(tmpdir(), 'user-steps-'));
  for (const [name, source] of Object.entries(files)) await writeFile(join(cwd, name), source);
  return { cwd, [Symbol.asyncDispose]: () => rm(cwd, { recursive: true }) };
}

const SMS = `import type { X } from './nowhere.ts';
export default { type: 'sms', summary: 'Sends.', schema: { type: 'object' }, run: (c: unknown) => 'sent' };`;

/** The lines of the error that loading one module ends with. */
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
    expect(type!.summary).toBe('');
  });

  test('without modules there is nothing', async () => {
    expect(await loadUserStepTypes([], '/')).toEqual([]);
  });

  test('that does not exist or cannot be parsed is named', async () => {
    await using folder = await modules({
      'broken.mjs': 'export default {',
      'throws.mjs': 'throw new Error("boom")',
    });
    const failure = await failureOf(loadUserStepTypes(['nope.ts', 'broken.mjs', 'throws.mjs'], folder.cwd));
    const lines = failure.message.split('\n');
    expect(lines[0]).toBe('EXECUTION_ENGINE_STEPS cannot be used:');
    expect(lines[1]).toStartWith('- nope.ts: cannot be loaded');
    expect(failure.message).toContain('broken.mjs: cannot be loaded');
    expect(failure.message).toContain('throws.mjs: cannot be loaded: boom');
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

  test('cannot take a name that another one has', async () => {
    await using folder = await modules({ 'one.ts': SMS, 'two.ts': SMS });
    const failure = await failureOf(loadUserStepTypes(['one.ts', 'two.ts'], folder.cwd));
    expect(failure.message).toEndWith('\n- two.ts: the name "sms" is taken by a step type of one.ts');
  });
});
