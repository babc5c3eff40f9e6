/**
 * Bad steps: handlers that crash their process, never yield, take all memory, return or throw what they must not.
 * They fail, or are ended; what runs beside them completes.
 */
import { describe, expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import type { ExecutionStatusBody } from '../../../services/execution-answers.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { gone, isAlive } from '../../support/faults/processes.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let database: EngineDatabase;
let engine: TestEngine;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  engine = await fixture.engine({
    config: { EXECUTION_ENGINE_STOP_GRACE: '100ms' },
  });
});

/** A bad step; beside it in its execution, and after it whatever becomes of it, normal ones. */
const withBad = (bad: JsonObject, more: JsonObject = {}): JsonObject => ({
  onFailure: 'continue',
  steps: {
    bad: { type: 'bad', with: bad, ...more },
    beside: { type: 'record', with: { value: 1 } },
    inEngine: { type: 'transform', with: { value: 2 } },
    after: { type: 'record', needs: [{ step: 'bad', on: 'always' }] },
  },
});

const NORMAL = {
  steps: { a: { type: 'record' }, b: { type: 'transform', needs: ['a'], with: { value: 1 } } },
};

/** Executions that are run one after the other beside a bad step: enough to meet it, and no load of their own. */
const MAX_BESIDE = 12;

/** Runs a bad step, and others until it has ended; all others complete. */
async function runBad(bad: JsonObject, more: JsonObject = {}) {
  const normal = await engine.publish(NORMAL);
  const before = await Promise.all([1, 2, 3].map(() => engine.start(normal)));
  const id = await engine.start(await engine.publish(withBad(bad, more)));
  const ending = engine.end(id);
  let isOver = false;
  ending.finally(() => {
    isOver = true;
  });
  const others = await Promise.all(before.map((other) => engine.end(other)));
  while (!isOver && others.length < MAX_BESIDE) others.push(await engine.end(await engine.start(normal)));
  const end = await ending;
  for (const other of others) expect(other.status).toBe('completed');
  for (const key of ['beside', 'inEngine', 'after']) expect(stepOf(end, key).status).toBe('completed');
  return { end, bad: stepOf(end, 'bad'), others };
}

/** Of all steps: that none was tried twice. */
function expectOneAttempt(...ends: ExecutionStatusBody[]): void {
  const attempts = ends.flatMap(({ steps }) => steps.map(({ attempt_count }) => attempt_count));
  expect(new Set(attempts)).toEqual(new Set([1]));
}

async function counts(id: string, key: string) {
  const { rows } = await database.pool.query(
    `select s.attempt_count, s.retry_count, s.crash_count, s.error_details
       from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = $1 and t.key = $2`,
    [id, key],
  );
  return rows[0];
}

const pidsOf = async (id: string): Promise<number[]> =>
  (await database.runs(id)).flatMap(({ note }) => (note?.startsWith('pid ') ? [Number(note.slice(4))] : []));

describe('a result or error that is none', () => {
  test.each([
    ['bigint', 'output_not_storable', 'bigint'],
    ['cycle', 'output_not_storable', 'contains it'],
    ['huge', 'output_not_storable', 'larger than 1048576 bytes (EXECUTION_ENGINE_MAX_OUTPUT_BYTES)'],
    ['throws text', 'handler_failed', 'a text'],
    ['throws null', 'handler_failed', 'null'],
    ['throws what resists', 'handler_failed', 'cannot be written as text'],
    ['huge message', 'huge', 'xxx'],
  ])('%s: the step fails, once, and nobody else notices', async (kind, code, message) => {
    const { end, bad, others } = await runBad({ kind });
    expect(bad).toMatchObject({ status: 'failed', error: { code } });
    expect(bad.error!.message).toContain(message);
    expect(bad.error!.message.length).toBeLessThanOrEqual(10_000);
    expectOneAttempt(end, ...others);
  });

  test('undefined is null', async () => {
    const { end, others } = await runBad({ kind: 'undefined' });
    expect(stepOf(end, 'bad')).toMatchObject({ status: 'completed', outputs: null });
    expectOneAttempt(end, ...others);
  });

  test.each([['rejects behind its back'], ['goes on after its end']])(
    '%s: the step completes, and its process goes on',
    async (kind) => {
      const { end, others } = await runBad({ kind });
      expect(stepOf(end, 'bad')).toMatchObject({ status: 'completed', outputs: 'done' });
      expectOneAttempt(end, ...others);
      const [pid] = await pidsOf(end.execution_id);
      const again = await engine.run(withBad({ kind }));
      expectOneAttempt(again);
      expect(isAlive(pid!)).toBe(true);
    },
  );
});

describe('a handler that does not end', () => {
  test('and waits for ever fails with timeout, and costs nobody an attempt', async () => {
    const { end, bad, others } = await runBad({ kind: 'never' }, { timeout: '100ms' });
    expect(bad).toMatchObject({ status: 'failed', error: { code: 'timeout' } });
    expectOneAttempt(end, ...others);
    expect(isAlive((await pidsOf(end.execution_id))[0]!)).toBe(true);
  });

  test('in time: what it answers later is refused', async () => {
    const stale = await engine.metric('execution_engine_stale_completions_total');
    const { end, bad, others } = await runBad({ kind: 'late answer' }, { timeout: '100ms' });
    expect(bad).toMatchObject({ status: 'failed', error: { code: 'timeout' } });
    expectOneAttempt(end, ...others);
    await engine.metricReaches('execution_engine_stale_completions_total', stale + 1);
    expect(stepOf(await engine.end(end.execution_id), 'bad').status).toBe('failed');
  });

  test('and never yields is killed at its timeout; the innocent in its process lose an attempt and no retry', async () => {
    const sits = { type: 'sits', with: { name: 'never-yields' } };
    const id = await engine.start(
      await engine.publish({
        onFailure: 'continue',
        steps: {
          ...Object.fromEntries([...'abcdefgh'].map((key) => [key, sits])),
          // The last: whichever process it comes to has some of the others.
          bad: { type: 'bad', with: { kind: 'loop' }, timeout: '300ms' },
        },
      }),
    );
    await database.until('select count(*) = 9 from test_runs where execution_id = $1 and attempt = 1', [id]);
    const first = (await database.runs(id)).filter(({ attempt }) => attempt === 1);
    const { note } = first.find(({ step }) => step === 'bad')!;
    await gone([Number(note!.slice(4))]);
    const lost = first.filter((run) => run.step !== 'bad' && run.note === note);
    expect(lost.length).toBeGreaterThan(0);
    await database.until('select count(*) = $2 from test_runs where execution_id = $1', [
      id,
      9 + lost.length,
    ]);
    expect((await engine.run(NORMAL)).status).toBe('completed');
    await database.openGate('never-yields');
    const end = await engine.end(id);
    expect(stepOf(end, 'bad')).toMatchObject({
      status: 'failed',
      attempt_count: 1,
      error: { code: 'timeout' },
    });
    for (const { key, attempt_count } of end.steps.filter((step) => step.key !== 'bad')) {
      const wasLost = lost.some(({ step }) => step === key);
      expect({ key, attempt_count }).toEqual({ key, attempt_count: wasLost ? 2 : 1 });
      expect(await counts(id, key)).toMatchObject({ retry_count: 0, crash_count: 0 });
    }
    await assertInvariants(database.url);
  });

  test('and never yields is tried again as often as its retries say', async () => {
    const retry = { limit: 1, delay: '10ms' };
    const { end, bad } = await runBad({ kind: 'loop', attempts: 1 }, { timeout: '5s', retry });
    expect(bad).toMatchObject({ status: 'completed', attempt_count: 2, outputs: 'good' });
    expect(await counts(end.execution_id, 'bad')).toMatchObject({ retry_count: 1, crash_count: 0 });
  });

  test.each([['stop'], ['cancel']] as const)(
    'and never yields is ended by a %s of its execution',
    async (how) => {
      const id = await engine.start(
        await engine.publish({ steps: { bad: { type: 'bad', with: { kind: 'loop' } } } }),
      );
      await database.until('select count(*) = 1 from test_runs where execution_id = $1', [id]);
      await engine.client[how](id);
      expect((await engine.end(id)).status).toBe('cancelled');
      await gone(await pidsOf(id));
      expect((await engine.run(NORMAL)).status).toBe('completed');
      await assertInvariants(database.url);
    },
  );
});

describe('a handler that ends its process', () => {
  test.each([
    ['exit', 'exited with code 3', { exit_code: 3, signal: null }],
    ['kill', 'the signal SIGKILL', { exit_code: null, signal: 'SIGKILL' }],
  ])(
    '%s: runs alone after two of them, and is poison when that dies too, whatever its retries say',
    async (kind, reason, details) => {
      const { end, bad } = await runBad({ kind }, { retry: { limit: 5, delay: '1ms' } });
      expect(bad).toMatchObject({ status: 'failed', attempt_count: 3, error: { code: 'poison' } });
      expect(bad.error!.message).toContain(reason);
      expect(await counts(end.execution_id, 'bad')).toMatchObject({
        retry_count: 0,
        crash_count: 2,
        error_details: { crashes: 3, ...details },
      });
      // A process that dies before its word has arrived that the handler began costs the step nothing.
      expect(new Set(await pidsOf(end.execution_id)).size).toBeGreaterThanOrEqual(3);
      await gone(await pidsOf(end.execution_id));
    },
  );

  test('only twice completes alone, and uses no retry for it', async () => {
    const { end, bad } = await runBad({ kind: 'exit', attempts: 2 });
    expect(bad).toMatchObject({ status: 'completed', attempt_count: 3, outputs: 'good' });
    expect(await counts(end.execution_id, 'bad')).toMatchObject({ retry_count: 0, crash_count: 2 });
    await gone((await pidsOf(end.execution_id)).slice(-1));
  });

  test('the innocent that were in it complete', async () => {
    const sits = { type: 'sits', with: { name: 'innocent' } };
    const innocent = await engine.start(
      await engine.publish({ steps: Object.fromEntries([...'abcdefgh'].map((key) => [key, sits])) }),
    );
    await database.until('select count(*) = 8 from test_runs where execution_id = $1', [innocent]);
    await runBad({ kind: 'exit' });
    await database.openGate('innocent');
    const { status, steps } = await engine.end(innocent);
    expect(status).toBe('completed');
    for (const { key, attempt_count } of steps) {
      const { retry_count, crash_count } = await counts(innocent, key);
      expect({ key, retry_count, attempts: attempt_count }).toEqual({
        key,
        retry_count: 0,
        attempts: crash_count + 1,
      });
    }
    await assertInvariants(database.url);
  });
});

describe('where memory is limited', () => {
  let limited: TestEngine;

  fixtureForAll(async (own) => {
    await own.database();
    limited = await own.engine({ config: { EXECUTION_ENGINE_STEP_MEMORY: '256' } });
  });

  test('a handler that takes all of it is poison', async () => {
    const end = await limited.run(withBad({ kind: 'bomb' }));
    expect(stepOf(end, 'bad')).toMatchObject({
      status: 'failed',
      attempt_count: 3,
      error: { code: 'poison' },
    });
    for (const key of ['beside', 'inEngine', 'after']) expect(stepOf(end, key).status).toBe('completed');
  });
});
