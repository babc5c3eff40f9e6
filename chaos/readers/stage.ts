/**
 * The servers of a run of readers: a durable PostgreSQL, and engines on one of its databases that are started again when they
 * are killed.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPool, type Pool } from '../../db/connection/client.ts';
import { Fleet } from '../stage/fleet.ts';
import { ChaosPostgres } from '../stage/postgres.ts';
import { makeEngineDatabase } from '../stage/stage.ts';

export interface ReadersStage {
  readonly admin: Pool;
  open(engines: number): Promise<Fleet>;
  /** Ends every process and removes the data. May be called twice. */
  close(): Promise<void>;
}

/** A step that fails at times, which is retried, and takes a little. */
const MODULE = `
export default [{
  type: 'readers.work',
  summary: 'Lasts for a little while, and fails at times.',
  schema: { type: 'object' },
  run: ({ params: { ms, fails }, attempt }) => new Promise((resolve, reject) => {
    setTimeout(() => (attempt <= fails ? reject(new Error('not yet')) : resolve(attempt)), ms);
  }),
}];
`;

export async function setReadersStage(): Promise<ReadersStage> {
  const undo: (() => unknown)[] = [];
  const close = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), 'execution-engine-readers-'));
    undo.push(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o755);
    const postgres = await ChaosPostgres.start(join(folder, 'postgres'), {});
    undo.push(
      () => postgres.remove(),
      () => postgres.stop(),
    );
    const at = new URL(postgres.url);
    at.pathname = '/readers';
    const databaseUrl = at.href;
    await makeEngineDatabase(postgres, databaseUrl);
    const admin = createPool(databaseUrl, {
      max: 4,
      applicationName: 'readers/admin',
      statementTimeoutMs: 0,
    });
    undo.push(() => admin.end());
    const open = async (engines: number) => {
      const fleet = new Fleet({ folder, databaseUrl, settings: {}, stepModule: () => MODULE }, engines);
      fleet.start();
      undo.push(() => fleet.stop());
      await fleet.allReady();
      return fleet;
    };
    return { admin, open, close };
  } catch (error) {
    await close();
    throw error;
  }
}
