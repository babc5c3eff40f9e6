/**
 * The fixture of the integration tests: what it makes is gone at the end, however the test or its set-up went, and a
 * database that is not as it should be fails whoever made it so.
 */
import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import pg from 'pg';
import type { EngineDatabase, EngineProcess, TestEngine } from './engine.ts';
import { Fixture } from './fixture.ts';

/** Whether the database can still be connected to. */
async function exists({ url }: EngineDatabase): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  return client.connect().then(
    async () => {
      await client.end();
      return true;
    },
    () => false,
  );
}

const answers = ({ url }: TestEngine | EngineProcess) =>
  fetch(`${url}/health/live`).then(
    () => true,
    () => false,
  );

const LOST_JOB = `update workflow_executions set status = 'running', completed_at = null, outputs = null`;

test('a set-up that fails half way leaves nothing of what it made', async () => {
  const fixture = new Fixture();
  let database!: EngineDatabase;
  let engine!: TestEngine;
  let process!: EngineProcess;
  let folder!: string;
  const setUp = async () => {
    database = await fixture.database();
    folder = await fixture.folder();
    engine = await fixture.engine();
    process = await fixture.engineProcess();
    expect([await answers(engine), await answers(process)]).toEqual([true, true]);
    throw new Error('half way');
  };
  await expect(fixture.begin(setUp)).rejects.toThrow('half way');
  expect([await answers(engine), await answers(process)]).toEqual([false, false]);
  expect([await exists(database), existsSync(folder)]).toEqual([false, false]);
});

test('what is still being made when something beside it fails is removed as well', async () => {
  const fixture = new Fixture();
  let database!: EngineDatabase;
  const slow = Promise.withResolvers<string>();
  const removed: string[] = [];
  const setUp = async () => {
    database = await fixture.database();
    const failing = fixture.engineProcess({ config: { EXECUTION_ENGINE_CONCURRENCY: 'many' } });
    const making = fixture.use(slow.promise, (made) => removed.push(made));
    await Promise.all([failing.finally(() => slow.resolve('slow')), making, fixture.engineProcess()]);
  };
  await expect(fixture.begin(setUp)).rejects.toThrow('EXECUTION_ENGINE_CONCURRENCY');
  expect(removed).toEqual(['slow']);
  expect(await exists(database)).toBe(false);
});

test('at the end the doctor is asked, and what it finds fails the test; everything is removed all the same', async () => {
  const fixture = new Fixture();
  let database!: EngineDatabase;
  let engine!: TestEngine;
  await fixture.begin(async () => {
    database = await fixture.database();
    engine = await fixture.engine();
  });
  await engine.run({ steps: { a: { type: 'noop' } } });
  await database.pool.query(LOST_JOB);
  await expect(fixture.end()).rejects.toThrow('an execution is not final: 1 times');
  expect([await answers(engine), await exists(database)]).toEqual([false, false]);
});

test('the doctor is asked about every database, also of an engine that made its schema itself', async () => {
  const fixture = new Fixture();
  await fixture.begin(() => fixture.database());
  const second = await fixture.database({ migrated: false });
  const engine = await fixture.engine({ url: second.url });
  await engine.run({ steps: { a: { type: 'noop' } } });
  await second.pool.query(LOST_JOB);
  await expect(fixture.end()).rejects.toThrow('an execution is not final: 1 times');
});

test('a reason keeps the doctor away', async () => {
  const fixture = new Fixture({ withoutDoctor: 'the test breaks it' });
  let database!: EngineDatabase;
  await fixture.begin(async () => {
    database = await fixture.database();
  });
  await database.pool.query('drop table workflow_input_tracker cascade');
  await fixture.end();
  expect(await exists(database)).toBe(false);
});

test('what cannot be removed is told, and keeps nothing else', async () => {
  const fixture = new Fixture();
  let folder!: string;
  await fixture.begin(async () => {
    folder = await fixture.folder();
    await fixture.use('stuck', () => {
      throw new Error('it is stuck');
    });
  });
  await expect(fixture.end()).rejects.toThrow('it is stuck');
  expect(existsSync(folder)).toBe(false);
});
