/**
 * Executions by the hundred, and their handler runs counted in the database.
 */
import type { JsonObject } from '../../core/json/json.ts';
import type { EngineCalls, EngineDatabase } from './engine.ts';

/** Publishes a definition and starts it `count` times with one call. Returns the ids. */
export async function startSideBySide(
  engine: EngineCalls,
  definition: JsonObject,
  count: number,
): Promise<string[]> {
  const template = await engine.publish(definition);
  const items = Array.from({ length: count }, () => ({ template }));
  return (await engine.client.startMany(items)).map(({ execution_id }) => execution_id);
}

/** Handler runs of the executions, and how many different steps they were of. */
export async function countRuns(
  { pool }: EngineDatabase,
  executionIds: readonly string[],
): Promise<{ runs: number; steps: number }> {
  const { rows } = await pool.query(
    `select count(*)::integer as runs, count(distinct step_id)::integer as steps
       from test_runs where execution_id = any($1::uuid[])`,
    [executionIds],
  );
  return rows[0];
}
