/**
 * Two engines on one database, with a key for each kind of caller: for tests of what people and programs outside answer.
 */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../../telemetry/log.ts';
import { type EngineCalls, type EngineDatabase, type Env, engineCalls, type TestEngine } from '../engine.ts';
import type { Fixture } from '../fixture.ts';

/** The workspace of all keys but the first. */
export const WORKSPACE = '0190b6d0-1111-7222-8333-444455556666';
export const ADMIN = 'the-key-of-an-admin';
export const EDITOR = 'the-key-of-an-editor';
export const OPERATOR = 'the-key-of-an-operator';
export const VIEWER = 'the-key-of-a-viewer';

const KEYS = [
  `${ADMIN}=admin`,
  `${EDITOR}=${WORKSPACE}:editor`,
  `${OPERATOR}=${WORKSPACE}:operator`,
  `${VIEWER}=${WORKSPACE}:viewer`,
];

export interface AnsweringEngines {
  readonly database: EngineDatabase;
  /** Both, called with the key of an admin. */
  readonly engines: readonly [TestEngine, TestEngine];
  /** Calls of the first engine with the key of an editor. */
  readonly stranger: EngineCalls;
}

export interface AnsweringOptions {
  readonly config?: Env;
  /** Secrets of both engines. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Where the first engine logs; default: nowhere. */
  readonly log?: Log;
}

export async function answeringEngines(
  made: Fixture,
  { config = {}, secrets, log }: AnsweringOptions = {},
): Promise<AnsweringEngines> {
  const database = await made.database();
  const all = {
    EXECUTION_ENGINE_API_KEYS: KEYS.join(),
    ...(secrets === undefined ? {} : { EXECUTION_ENGINE_SECRETS_FILE: await secretsFile(made, secrets) }),
    ...config,
  };
  const engines = await Promise.all([
    made.engine({ name: 'one', token: ADMIN, config: all, ...(log === undefined ? {} : { log }) }),
    made.engine({ name: 'two', token: ADMIN, config: all }),
  ]);
  return { database, engines, stranger: engineCalls(engines[0].url, EDITOR) };
}

async function secretsFile(made: Fixture, secrets: Readonly<Record<string, string>>): Promise<string> {
  const path = join(await made.folder(), 'secrets.json');
  await writeFile(path, JSON.stringify(secrets));
  await chmod(path, 0o600);
  return path;
}
