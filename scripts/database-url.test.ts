import { expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

function databaseUrl(env: Record<string, string>) {
  const script = join(import.meta.dir, 'database-url.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { env, encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('where no engine runs it says so, prints no URL and fails', () => {
  const folder = mkdtempSync(join(tmpdir(), 'database-url-'));
  const { status, stdout, stderr } = databaseUrl({ EXECUTION_ENGINE_DATA_DIR: folder });
  rmSync(folder, { recursive: true });
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toContain('start the engine first');
});

test('the URL of a configured database is printed as it is', () => {
  const url = 'postgres://me:word@127.0.0.1:1/x';
  expect(databaseUrl({ DATABASE_URL: url })).toEqual({ status: 0, stdout: `${url}\n`, stderr: '' });
});
