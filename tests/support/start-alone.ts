/**
 * Starts an engine as its entry point does, and does not end the process when the start fails: what the start leaves
 * running keeps it alive. Arguments: none; the environment is the configuration.
 */
import { loadProcessConfig } from '../../config/config.ts';
import { startEngine } from '../../engine/engine.ts';
import { createLog } from '../../telemetry/log.ts';

const config = loadProcessConfig();
const log = createLog({ level: 'silent', pretty: false, secrets: [] });
try {
  const engine = await startEngine(config, config.databaseUrl!, log);
  await engine.stop();
  console.log('started');
} catch (error) {
  console.log((error as Error).message);
}
