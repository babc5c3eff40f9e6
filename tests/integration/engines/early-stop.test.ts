/**
 * An engine that is told to stop before it is ready takes the server it has started with it.
 */
import { expect, test } from 'bun:test';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixtureForEach } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

const ENTRY = join(import.meta.dir, '..', '..', '..', 'execution-engine.ts');
const fixture = fixtureForEach();

test('a stop during the start leaves no database server behind', async () => {
  const folder = await fixture.folder();
  // As root the server runs as another user, who must get into it.
  chmodSync(folder, 0o755);
  const asked = Promise.withResolvers<void>();
  const never = Promise.withResolvers<Response>();
  const holder = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    fetch: () => {
      asked.resolve();
      return never.promise;
    },
  });
  const steps = join(folder, 'steps.mjs');
  writeFileSync(steps, `await fetch(${JSON.stringify(holder.url.href)});\nexport default [];\n`);
  const dataDir = join(folder, 'data');
  const child = Bun.spawn([process.execPath, ENTRY], {
    env: {
      PATH: process.env.PATH ?? '',
      EXECUTION_ENGINE_PORT: '0',
      EXECUTION_ENGINE_DATA_DIR: dataDir,
      EXECUTION_ENGINE_STEPS: steps,
    },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  await Promise.race([asked.promise, child.exited]);
  const pidFile = join(dataDir, 'pg18', 'postmaster.pid');
  const server = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
  expect(isAlive(server)).toBe(true);

  child.kill('SIGTERM');
  expect(await child.exited).toBe(0);
  expect(await new Response(child.stdout).text()).not.toContain('is ready');
  expect(existsSync(pidFile)).toBe(false);
  // Whoever it was left to buries it a moment after its end.
  await until(() => !isAlive(server));
  await holder.stop(true);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
