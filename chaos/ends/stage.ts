/**
 * The servers of a run of ends: a durable PostgreSQL, and two engines on one of its databases.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEngineClient, type EngineClient } from '../../client/engine-client.ts';
import { createPool, type Pool } from '../../db/connection/client.ts';
import { watchEnds } from '../../tests/support/faults/scope-ends.ts';
import { EngineProcess } from '../stage/engine-process.ts';
import { ChaosPostgres } from '../stage/postgres.ts';
import { makeEngineDatabase } from '../stage/stage.ts';
import { ENDS_MODULE } from './definitions.ts';

export interface EndsStage {
  readonly admin: Pool;
  readonly engines: readonly [EngineClient, EngineClient];
  /** Ends every process and removes the data. May be called twice. */
  close(): Promise<void>;
}

/** @param concurrency of each engine */
export async function setEndsStage(concurrency: number): Promise<EndsStage> {
  const undo: (() => unknown)[] = [];
  const close = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), 'execution-engine-ends-'));
    undo.push(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o755);
    const postgres = await ChaosPostgres.start(join(folder, 'postgres'), {});
    undo.push(
      () => postgres.remove(),
      () => postgres.stop(),
    );
    const at = new URL(postgres.url);
    at.pathname = '/ends';
    await makeEngineDatabase(postgres, at.href);
    const admin = createPool(at.href, { max: 8, applicationName: 'ends/admin', statementTimeoutMs: 0 });
    undo.push(() => admin.end());
    await watchEnds(admin);
    const start = async (name: string): Promise<EngineClient> => {
      const engine = await EngineProcess.start(name, {
        folder,
        databaseUrl: at.href,
        settings: { EXECUTION_ENGINE_CONCURRENCY: String(concurrency) },
        stepModule: () => ENDS_MODULE,
      });
      undo.push(async () => {
        engine.kill();
        await engine.ended;
      });
      await engine.settled;
      if (engine.url === null) throw new Error(`An engine did not start:\n${engine.lastLines.join('\n')}`);
      return createEngineClient({ url: engine.url });
    };
    return { admin, engines: [await start('one'), await start('two')], close };
  } catch (error) {
    await close();
    throw error;
  }
}
