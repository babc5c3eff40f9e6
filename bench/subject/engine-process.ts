/**
 * The engine as a measured process of its own, on the database that DATABASE_URL names. Started by the other
 * files of this folder, not by hand.
 */
import { loadProcessConfig } from '../../config/config.ts';
import { startEngine } from '../../engine/engine.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { createLog } from '../../telemetry/log.ts';
import { timeRun, WORKLOADS } from '../workloads.ts';
import { describeSettings } from './engine-settings.ts';
import { serveSubject } from './protocol.ts';

serveSubject(async () => {
  const config = loadProcessConfig();
  const log = createLog({ level: 'error', pretty: false, secrets: [] });
  const engine = await startEngine(config, config.databaseUrl!, log);
  const { version, dependencies } = packageJson;
  return {
    describe: () => ({
      versions: { 'execution-engine': version, 'pg-boss': dependencies['pg-boss'], pg: dependencies.pg },
      runtime: `Bun ${process.versions.bun}`,
      settings: describeSettings(config.concurrency),
      starts: 'start-many of 1,000',
      url: engine.url,
    }),
    run: async (workload, executions) => {
      if (workload === 'lifecycle') throw new Error('lifecycle is a workload of raw pg-boss');
      return timeRun(engine, WORKLOADS[workload], executions);
    },
    collect: async () => {
      Bun.gc(true);
      Bun.shrink();
    },
    stop: () => engine.stop(),
  };
});
