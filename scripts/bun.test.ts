import { afterAll, describe, expect, test } from 'bun:test';
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const LAUNCHER = fileURLToPath(new URL('./bun.mjs', import.meta.url));
/** The launcher is for machines that have Node; where there is none, Bun itself runs it. */
const NODE = Bun.which('node') ?? process.execPath;
const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true });
});

/** A checkout with the launcher and what `install` puts into its node_modules. */
function checkout(install: (modules: string) => void = () => {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'launcher-'));
  made.push(folder);
  mkdirSync(join(folder, 'scripts'));
  mkdirSync(join(folder, 'node_modules', 'bun', 'bin'), { recursive: true });
  copyFileSync(LAUNCHER, join(folder, 'scripts', 'bun.mjs'));
  // The files that npm leaves when Bun's install script may not run.
  writeFileSync(join(folder, 'node_modules', 'bun', 'bin', 'bun.exe'), 'echo not installed', { mode: 0o755 });
  install(join(folder, 'node_modules'));
  return join(folder, 'scripts', 'bun.mjs');
}

function place(target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  rmSync(target, { force: true });
  symlinkSync(process.execPath, target);
}

function run(launcher: string, args: string[], path = '/usr/bin:/bin') {
  return spawnSync(NODE, [launcher, ...args], { encoding: 'utf8', env: { PATH: path } });
}

const platform = `bun-${process.platform}-${process.arch === 'arm64' ? 'aarch64' : process.arch}`;

describe.skipIf(process.platform === 'win32')('the launcher', () => {
  test('finds Bun where its install script puts it', () => {
    const ran = run(
      checkout((modules) => place(join(modules, 'bun', 'bin', 'bun.exe'))),
      ['--version'],
    );
    expect(ran).toMatchObject({ status: 0, stdout: `${Bun.version}\n` });
  });

  test('finds Bun where it is without an install script', () => {
    const ran = run(
      checkout((modules) => place(join(modules, '@oven', platform, 'bin', 'bun'))),
      ['--version'],
    );
    expect(ran).toMatchObject({ status: 0, stdout: `${Bun.version}\n` });
  });

  test('finds Bun on the PATH', () => {
    const folder = mkdtempSync(join(tmpdir(), 'path-'));
    made.push(folder);
    place(join(folder, 'bun'));
    expect(run(checkout(), ['--version'], folder)).toMatchObject({ status: 0, stdout: `${Bun.version}\n` });
  });

  test('says what to do when there is no Bun', () => {
    const ran = run(checkout(), ['--version'], '/nowhere');
    expect(ran.status).toBe(127);
    expect(ran.stderr).toContain('npm ci');
  });

  test('hands arguments, input and the exit code on', () => {
    const script = 'console.log(process.argv.slice(1), await Bun.stdin.text()); process.exit(7)';
    const args = ['-e', script, 'a b', '--flag'];
    const ran = spawnSync(NODE, [LAUNCHER, ...args], { encoding: 'utf8', input: 'typed' });
    expect(ran.stdout).toContain('[ "a b", "--flag" ] typed');
    expect(ran.status).toBe(7);
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('forwards %s and waits for the end', async (signal) => {
    const script = `process.on('${signal}', () => { console.log('drained'); process.exit(3); }); console.log('up'); setInterval(() => {}, 1000)`;
    const child = spawn(NODE, [LAUNCHER, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines: string[] = [];
    const ended = new Promise((resolve) => child.once('exit', resolve));
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (line === 'up') child.kill(signal);
    }
    expect(lines).toEqual(['up', 'drained']);
    expect(await ended).toBe(3);
  });

  test.skipIf(!Bun.which('node'))('forwards a signal that comes the moment Bun is started', () => {
    const folder = mkdtempSync(join(tmpdir(), 'signal-'));
    made.push(folder);
    const early = join(folder, 'early.cjs');
    writeFileSync(
      early,
      `const processes = require('node:child_process');
      const { spawn } = processes;
      processes.spawn = (...args) => {
        const child = spawn(...args);
        process.kill(process.pid, 'SIGTERM');
        return child;
      };
      require('node:module').syncBuiltinESMExports();`,
    );
    const ran = spawnSync(NODE, ['--require', early, LAUNCHER, '-e', 'setInterval(() => {}, 30_000)'], {
      stdio: 'ignore',
    });
    expect(ran).toMatchObject({ status: 143, signal: null });
  });

  /** A package whose script `start` runs a program that says `up <pid>`, and `drained` on SIGTERM. */
  function npmPackage(): string {
    const folder = dirname(dirname(checkout((modules) => place(join(modules, 'bun', 'bin', 'bun.exe')))));
    const script = 'node scripts/bun.mjs program.ts';
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'p', scripts: { start: script } }));
    writeFileSync(
      join(folder, 'program.ts'),
      `process.on('SIGTERM', () => { console.log('drained'); process.exit(0); });
       console.log('up', process.pid);
       setInterval(() => {}, 1_000);`,
    );
    return folder;
  }

  test.skipIf(!Bun.which('npm')).each(
    // Only Linux shows that npm is gone while its shell is there.
    process.platform === 'linux' ? (['SIGTERM', 'SIGKILL'] as const) : (['SIGTERM'] as const),
  )('hands the end of npm by %s on as SIGTERM', async (signal) => {
    const npm = spawn('npm', ['--silent', 'start'], {
      cwd: npmPackage(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines: string[] = [];
    // The end of the output is the end of every process that could write it.
    for await (const line of createInterface({ input: npm.stdout })) {
      lines.push(line);
      if (line.startsWith('up ')) process.kill(npm.pid!, signal);
    }
    expect(lines).toEqual([expect.stringMatching(/^up \d+$/), 'drained']);
  });

  test('goes on when the script that started it in the background has ended', async () => {
    const ticks = `let n = 0; setInterval(() => console.log(process.ppid, ++n), 100);
      process.on('SIGTERM', () => { console.log('drained'); process.exit(0); });`;
    // As under an npm script that is not the launcher's own.
    const env = { ...process.env, npm_lifecycle_script: 'sh deploy.sh && node scripts/bun.mjs other.ts' };
    const starter = spawn('sh', ['-c', '"$0" "$@" & echo "launcher $!"', NODE, LAUNCHER, '-e', ticks], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
    });
    const starterEnded = new Promise((resolve) => starter.once('exit', resolve));
    let launcher = 0;
    let ticksAlone = 0;
    let last = '';
    for await (const line of createInterface({ input: starter.stdout })) {
      last = line;
      if (line.startsWith('launcher ')) launcher = Number(line.slice('launcher '.length));
      else if (ticksAlone === 0) await starterEnded;
      // More ticks than a check of the parents takes.
      if (line !== 'drained' && ++ticksAlone === 20) process.kill(launcher, 'SIGTERM');
    }
    expect([last, ticksAlone]).toEqual(['drained', expect.any(Number)]);
    expect(ticksAlone).toBeGreaterThanOrEqual(20);
  });

  test('ends with 128 + the signal when the child is killed', async () => {
    const ran = spawnSync(NODE, [LAUNCHER, '-e', "process.kill(process.pid, 'SIGKILL')"]);
    expect(ran.status).toBe(137);
  });
});
