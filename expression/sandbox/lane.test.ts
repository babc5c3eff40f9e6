/** How a lane shares its processes out among workspaces. */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SandboxLane } from './lane.ts';
import { createSandbox, type EvaluateCall, type Sandbox } from './sandbox.ts';

const ENDLESS = '(() => { for (;;); })()';
const sandboxes: Sandbox[] = [];
afterAll(() => {
  for (const sandbox of sandboxes) sandbox.close();
});

function sandboxOf(size: number): Sandbox {
  const sandbox = createSandbox({ size, timeoutMs: 60_000 });
  sandboxes.push(sandbox);
  return sandbox;
}

/** Evaluations of a workspace that end only when they are given up, or out of time. */
function flood(sandbox: Sandbox, workspace: string, count: number, timeoutMs = 60_000) {
  const controller = new AbortController();
  const { signal } = controller;
  let over = 0;
  const all = Array.from({ length: count }, () =>
    sandbox.evaluate(ENDLESS, {}, { workspace, signal, timeoutMs }).catch(() => {
      over += 1;
    }),
  );
  return {
    over: () => over,
    end: async () => {
      controller.abort();
      await Promise.all(all);
    },
  };
}

const one = (sandbox: Sandbox, call: EvaluateCall) => sandbox.evaluate('[1].map((x) => x)[0]', {}, call);

describe.each([[1], [2]])('with %i processes', (size) => {
  test('endless expressions of a workspace hold up no other, however many there are', async () => {
    const sandbox = sandboxOf(size);
    const busy = flood(sandbox, 'busy', 100);
    for (const workspace of ['b', 'c', 'b', 'd']) expect(await one(sandbox, { workspace })).toBe(1);
    expect(busy.over()).toBe(0);
    await busy.end();
  });

  test('a second endless workspace holds up no third', async () => {
    const sandbox = sandboxOf(Math.max(2, size));
    const floods = ['a', 'b'].map((workspace) => flood(sandbox, workspace, 20));
    expect(await one(sandbox, { workspace: 'c' })).toBe(1);
    expect(floods.map(({ over }) => over())).toEqual([0, 0]);
    for (const { end } of floods) await end();
  });

  test('scripts likewise', async () => {
    const sandbox = sandboxOf(size);
    const controller = new AbortController();
    const call = { timeoutMs: 60_000, memoryBytes: 32 * 1024 * 1024 };
    const busy = Array.from({ length: 20 }, () =>
      sandbox
        .runScript('for (;;);', null, { ...call, workspace: 'busy', signal: controller.signal })
        .catch(() => 'given up'),
    );
    for (const result of [1, 2, 3])
      expect(await sandbox.runScript(`return ${result}`, null, { ...call, workspace: 'other' })).toBe(result);
    controller.abort();
    expect(await Promise.all(busy)).toEqual(busy.map(() => 'given up'));
  });

  test('processes beyond the usual ones end when nothing is held up any more', async () => {
    const sandbox = sandboxOf(size);
    const busy = flood(sandbox, 'busy', 5);
    await one(sandbox, { workspace: 'other' });
    await busy.end();
    await Promise.all(Array.from({ length: 40 }, () => one(sandbox, { workspace: 'other' })));
    // One that is still starting ends when it has started.
    while (sandbox.processIds().length > size) await one(sandbox, { workspace: 'other' });
  });
});

test('large jobs are handed over in several turns of the event loop', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'lane-'));
  const limits = { size: 1, processors: 2, maxInFlight: 16, maxMemoryBytes: 256 * 1_024 * 1_024 };
  const lane = new SandboxLane({ ...limits, directory, onKill: () => {} });
  let turn = 0;
  const count = () => {
    turn += 1;
    setImmediate(count);
  };
  count();
  const handedOver: number[] = [];
  const evaluate = (id: number, scope: string) =>
    new Promise<unknown[]>((resolve, reject) => {
      const body = () => {
        handedOver.push(turn);
        return scope;
      };
      const limits = { timeoutMs: 60_000, memoryBytes: 64 * 1_024 * 1_024, outputBytes: 1_000 };
      const request = { kind: 'evaluate', id, sources: ['input.length'], ...limits } as const;
      lane.submit({ workspace: '', execution: '', request, body, onLog: null, resolve, reject });
    });
  await evaluate(1, '{"input":""}');
  const scope = JSON.stringify({ input: 'x'.repeat(800_000) });
  const all = Array.from({ length: 12 }, (_, at) => evaluate(at + 2, scope));
  expect((await Promise.all(all)).flat()).toEqual(all.map(() => 800_000));
  lane.close();
  rmSync(directory, { recursive: true });
  const together = Map.groupBy(handedOver, (at) => at);
  // Two fit into one; a loaded machine may see two turns as one.
  expect(Math.max(...[...together.values()].map(({ length }) => length))).toBeLessThan(all.length / 2);
});

test('executions of a workspace take turns', async () => {
  const sandbox = sandboxOf(1);
  const order: string[] = [];
  const run = (execution: string, at: number) =>
    sandbox
      .runScript('return 1', null, { execution, timeoutMs: 60_000, memoryBytes: 32 * 1024 * 1024 })
      .then(() => order.push(`${execution}${at}`));
  await Promise.all([run('wide', 1), run('wide', 2), run('wide', 3), run('narrow', 1)]);
  expect(order).toEqual(['wide1', 'narrow1', 'wide2', 'wide3']);
});

test('code that is killed again and again leaves its processes to others in between', async () => {
  const sandbox = sandboxOf(2);
  await one(sandbox, { workspace: 'other' });
  const busy = flood(sandbox, 'busy', 8, 50);
  while (busy.over() < 8) expect(await one(sandbox, { workspace: 'other' })).toBe(1);
  await busy.end();
});

test('a workspace that is alone is served although as many of its expressions as there are processes are endless', async () => {
  const sandbox = sandboxOf(2);
  const busy = flood(sandbox, 'only', 2);
  expect(await one(sandbox, { workspace: 'only' })).toBe(1);
  await busy.end();
});
