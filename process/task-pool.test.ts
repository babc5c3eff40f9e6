import { afterAll, expect, test } from 'bun:test';
import { fileURLToPath } from 'node:url';
import { TaskFailed, TaskPool, type TaskPoolOptions } from './task-pool.ts';

const CHILD = fileURLToPath(new URL('../tests/support/task-child.ts', import.meta.url));
const MIB = 2 ** 20;
const pools: TaskPool[] = [];
afterAll(() => {
  for (const pool of pools) pool.close();
});

function poolOf(options: Partial<TaskPoolOptions> = {}): TaskPool {
  const pool = new TaskPool({
    command: process.execPath,
    args: [CHILD],
    size: 2,
    setup: { kind: 'setup', refuses: false },
    maxMemoryBytes: 1_024 * MIB,
    maxAnswerBytes: 64 * MIB,
    maxWaiting: 100,
    ...options,
  });
  pools.push(pool);
  return pool;
}

interface Echo {
  kind: 'done';
  pid: number;
}

const echo = (pool: TaskPool, body: string, owner = 'a') =>
  pool.run<Echo>({ header: { kind: 'echo' }, body, owner, maxMs: 60_000 });

const failure = (pool: TaskPool, header: object, maxMs = 60_000) =>
  pool.run({ header, body: '', owner: 'a', maxMs }).then(
    () => 'none',
    (error) => (error instanceof TaskFailed ? error.reason : error),
  );

test('a task is answered with what its process says', async () => {
  const text = 'é'.repeat(1_000_000);
  expect((await echo(poolOf(), text)).body).toBe(text);
});

test('a process does one task after the other', async () => {
  const pool = poolOf({ size: 1 });
  const answers = await Promise.all(['1', '2', '3'].map((body) => echo(pool, body)));
  expect(answers.map(({ body }) => body)).toEqual(['1', '2', '3']);
  expect(new Set(answers.map(({ header }) => header.pid)).size).toBe(1);
});

test('a task over its time fails alone, and the next ones are done', async () => {
  const pool = poolOf({ size: 1 });
  const [spun, after] = await Promise.all([failure(pool, { kind: 'spin' }, 100), echo(pool, 'after')]);
  expect([spun, after.body]).toEqual(['time', 'after']);
});

test.if(process.platform === 'linux')('a task over its memory fails alone', async () => {
  const pool = poolOf({ maxMemoryBytes: 300 * MIB });
  const [grown, after] = await Promise.all([
    failure(pool, { kind: 'grow', bytes: 600 * MIB }),
    echo(pool, 'after'),
  ]);
  expect([grown, after.body]).toEqual(['memory', 'after']);
});

test('a task whose process dies is done once more, and then fails', async () => {
  const pool = poolOf();
  expect(await failure(pool, { kind: 'die' })).toBe('died');
  expect((await echo(pool, 'after')).body).toBe('after');
});

test('a task is done by another process when somebody kills the one that has it', async () => {
  const pool = poolOf({ size: 1 });
  const { header } = await echo(pool, 'before');
  process.kill(header.pid, 'SIGKILL');
  expect((await echo(pool, 'after')).body).toBe('after');
});

test('one owner that never ends leaves a process to others', async () => {
  const pool = poolOf();
  const spinning = [1, 2, 3].map(() => failure(pool, { kind: 'spin' }, 60_000));
  expect((await echo(pool, 'other', 'b')).body).toBe('other');
  pool.close();
  expect(await Promise.all(spinning)).toEqual(['closed', 'closed', 'closed']);
});

test('a process that cannot be set up fails all tasks', async () => {
  const pool = poolOf({ setup: { kind: 'setup', refuses: true } });
  expect(await failure(pool, { kind: 'echo' })).toBe('unusable');
});

test('a task is refused when too many are in line', async () => {
  const pool = poolOf({ maxWaiting: 1 });
  const first = echo(pool, 'first');
  expect(await failure(pool, { kind: 'echo' })).toBe('busy');
  expect((await first).body).toBe('first');
});
