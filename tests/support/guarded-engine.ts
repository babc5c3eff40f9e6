/**
 * An engine that asks for keys, with rows of every kind at rest: what tests of refusals send their requests to.
 */
import type { ProblemDocument } from '../../api/errors.ts';
import { refusal } from './database/untouched.ts';
import { type EngineCalls, type EngineDatabase, engineCalls, stepOf, type TestEngine } from './engine.ts';
import type { Fixture } from './fixture.ts';

export const WORKSPACE_A = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const WORKSPACE_B = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';
export const BODY_LIMIT = 100_000;
export const ROLES = ['viewer', 'operator', 'editor', 'admin'] as const;
export type Role = (typeof ROLES)[number];
/** The key of a role in workspace A. */
export const keyOf = (role: Role) => `key-of-${role}-in-workspace-a`;
export const KEY_OF_B = 'key-of-admin-in-workspace-b';
export const OPERATOR_KEY = 'key-of-the-whole-engine';

export interface Sent {
  /** The key of the whole engine unless said otherwise; null for none. */
  readonly key?: string | null;
  readonly headers?: Record<string, string>;
  readonly body?: NonNullable<RequestInit['body']>;
}

export interface GuardedEngine {
  readonly database: EngineDatabase;
  readonly engine: TestEngine;
  /** An editor of workspace A. */
  readonly a: EngineCalls;
  /** Of workspace A; takes `{ n?: integer }`, and its executions stay running. */
  readonly template: string;
  readonly templateId: string;
  /** An execution of it. */
  readonly running: string;
  /** A step of it that waits for an answer. */
  readonly step: string;
  /** Sends bytes as they are. */
  send(method: string, path: string, sent?: Sent): Promise<Response>;
  /** The request must be refused like this and must change no row. */
  refuse(
    expected: readonly [status: number, code: string],
    request: () => Promise<Response>,
  ): Promise<ProblemDocument & { headers: Headers }>;
}

/** The options of its fixture: what it holds stays running. */
export const AT_REST = { allFinal: false };

export async function guardedEngine(fixture: Fixture): Promise<GuardedEngine> {
  const database = await fixture.database();
  const keys = [
    ...ROLES.map((role) => `${keyOf(role)}=${WORKSPACE_A}:${role}`),
    `${KEY_OF_B}=${WORKSPACE_B}`,
    `${OPERATOR_KEY}=admin`,
  ];
  const engine = await fixture.engine({
    config: {
      EXECUTION_ENGINE_API_KEYS: keys.join(','),
      EXECUTION_ENGINE_MAX_BODY_BYTES: String(BODY_LIMIT),
      EXECUTION_ENGINE_MAX_DEFINITION_BYTES: String(BODY_LIMIT / 2),
    },
  });
  const a = engineCalls(engine.url, keyOf('editor'));
  return {
    database,
    engine,
    a,
    ...(await seed(database, a)),
    send: (method, path, { key = OPERATOR_KEY, headers = {}, body } = {}) =>
      fetch(engine.url + path, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(key === null ? {} : { authorization: `Bearer ${key}` }),
          ...headers,
        },
        ...(body === undefined ? {} : { body }),
      }),
    refuse: (expected, request) => refusal(database.pool, request, expected),
  };
}

/** Rows of every kind, all at rest: ended, running, retrying, waiting for inputs or an answer, and put off. */
async function seed(database: EngineDatabase, a: EngineCalls) {
  const template = await a.publish({
    input: { type: 'object', properties: { n: { type: 'integer' } } },
    steps: {
      held: { type: 'gate', with: { name: 'held' } },
      done: { type: 'noop' },
      later: { type: 'flaky', retry: { limit: 1, delay: '1h', jitter: false } },
      ask: { type: 'asks' },
      join: { type: 'merge', needs: ['held', 'done'] },
    },
  });
  const { workflow_template_id: templateId } = await a.client.getTemplate(template);
  await a.run({ steps: { one: { type: 'noop' }, two: { type: 'noop', needs: ['one'] } } });
  await a.start(template, { start_after: '1h', idempotency_key: 'used', inputs: { n: 1 } });
  const running = await a.start(template);
  await database.until(
    `select array_agg(status order by status) = array['completed', 'retrying', 'running', 'waiting', 'waiting_inputs']
       from workflow_step_executions where workflow_execution_id = $1`,
    [running],
  );
  await database.until('select true from test_runs where execution_id = $1 and step = $2', [running, 'held']);
  const { id: step } = stepOf(await a.client.status(running), 'ask');
  return { template, templateId, running, step };
}
