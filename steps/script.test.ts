/** `script` with the real sandbox. */
import { afterAll, describe, expect, test } from 'bun:test';
import type { Json } from '../core/json/json.ts';
import { createSandbox } from '../expression/sandbox/sandbox.ts';
import { failureOf } from '../tests/support/http-peer.ts';
import { stepContext } from '../tests/support/step-context.ts';
import { createScript } from './script.ts';

const sandbox = createSandbox({ size: 1 });
afterAll(() => sandbox.close());

const script = createScript({ timeoutMs: 5_000, memoryBytes: 64 * 2 ** 20 });

type Params = Parameters<typeof script.run>[0]['params'];

async function run(params: Params, signal = new AbortController().signal): Promise<Json> {
  const runScript = sandbox.runScript.bind(sandbox);
  return (await script.run(stepContext({ params, inputs: { before: [1, 2] }, signal, runScript }))) as Json;
}

describe('a script', () => {
  test('gives what its code returns, and null for nothing', async () => {
    expect(await run({ code: 'return { sum: input.a + input.b }', input: { a: 1, b: 2 } })).toEqual({
      sum: 3,
    });
    expect(await run({ code: 'input.a' })).toBeNull();
  });

  test('may await, and finds what arrived when it has no input of its own', async () => {
    expect(await run({ code: 'return (await Promise.resolve(input.before)).map((n) => n * 2)' })).toEqual([
      2, 4,
    ]);
  });

  test('keeps its template literals, whatever they look like', async () => {
    expect(await run({ code: 'return `${{ a: input }.a}`', input: 7 })).toBe('7');
  });

  test('cannot turn data into code', async () => {
    const input = "'; throw new Error('injected'); '";
    expect(await run({ code: 'return input', input })).toBe(input);
  });

  test('reaches neither process, network nor files', async () => {
    const names = ['process', 'require', 'fetch', 'Bun', 'XMLHttpRequest', 'WebSocket', 'setTimeout', 'Deno'];
    const code = `return ${JSON.stringify(names)}.filter((name) => typeof globalThis[name] !== 'undefined')`;
    expect(await run({ code })).toEqual([]);
  });

  test('that throws, loops or does not compile fails', async () => {
    const thrown = await failureOf(run({ code: 'throw new Error("boom")' }));
    expect(thrown).toMatchObject({ code: 'script_failed', message: expect.stringContaining('boom') });
    expect((await failureOf(run({ code: 'return (' }))).code).toBe('script_failed');
    expect((await failureOf(run({ code: 'for (;;);', timeout: '100ms' }))).code).toBe('script_timeout');
  });

  test('that is aborted ends', async () => {
    const controller = new AbortController();
    const failing = failureOf(run({ code: 'for (;;);', timeout: '1m' }, controller.signal));
    controller.abort(new Error('stopped'));
    expect((await failing).code).toBe('aborted');
  });
});
