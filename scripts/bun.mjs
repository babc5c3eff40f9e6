#!/usr/bin/env node
/**
 * Runs the pinned Bun with the arguments it was given: `node scripts/bun.mjs <file or command> …`.
 *
 * For machines without Bun on the path: the npm scripts start here, with any Node from 18 on (or Bun itself). It must
 * work whether or not npm was allowed to run Bun's install script, so it looks for the binary in the places of both.
 * Signals and the exit code are passed on, so a service manager can use this process like the engine.
 *
 * npm hands SIGTERM to its shell alone, which ends and leaves this process behind. Started by an npm script it
 * therefore watches shell and npm, and ends as on SIGTERM when one is gone. The started process watches this one in the
 * same way (process/launcher-watch.ts). Started in any other way it needs no parent: a terminal or a script may end
 * (setsid, systemd, containers).
 *
 * Tests get their one time limit and their folder for temporary files here.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync, statSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Far more than any test takes, so a busy machine makes a test slower, not red. The limit is for a test that hangs. */
const TEST_LIMIT = '--timeout=300000';
/** Before the install script ran, `bun/bin/bun.exe` is a placeholder of a few hundred bytes. */
const SMALLEST_BINARY_BYTES = 1_000_000;
/** A terminal sends Ctrl-C and Ctrl-\\ to the child as well; forwarded, they would arrive twice. */
const FROM_TERMINAL = process.stdin.isTTY ? ['SIGINT', 'SIGQUIT'] : [];
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGQUIT'];
/** The time between two checks of the processes that have started this one. */
const LOOK_EVERY_MS = 500;
const root = dirname(dirname(fileURLToPath(import.meta.url)));

function isBinary(file) {
  try {
    accessSync(file, constants.X_OK);
    const { size } = statSync(file);
    return size >= SMALLEST_BINARY_BYTES;
  } catch {
    return false;
  }
}

function isMusl() {
  try {
    return readdirSync('/lib').some((name) => name.startsWith('ld-musl-'));
  } catch {
    return false;
  }
}

/** `@oven/bun-<os>-<arch>` as Bun names its platform packages; the right libc first. */
function platformPackages() {
  const os = process.platform === 'win32' ? 'windows' : process.platform;
  const arch = process.arch === 'arm64' ? 'aarch64' : process.arch;
  const plain = `bun-${os}-${arch}`;
  if (process.platform !== 'linux') return [plain];
  return isMusl() ? [`${plain}-musl`, plain] : [plain, `${plain}-musl`];
}

function candidates() {
  const modules = join(root, 'node_modules');
  const name = process.platform === 'win32' ? 'bun.exe' : 'bun';
  const installed = platformPackages().map((folder) => join(modules, '@oven', folder, 'bin', name));
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name));
  return [join(modules, 'bun', 'bin', 'bun.exe'), ...installed, ...onPath];
}

function wantedVersion() {
  try {
    return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).dependencies.bun;
  } catch {
    return 'latest';
  }
}

function fail(message) {
  console.error(message);
  process.exit(127);
}

/** Returns whether an npm script runs this process directly, not through another process. */
function isNpmScript() {
  return (process.env.npm_lifecycle_script ?? '').includes(`node scripts/bun.mjs ${process.argv[2]}`);
}

/** The parent of a process where the system shows it (Linux), else null. */
function parentOf(pid) {
  try {
    const [, ppid] = /^\d+ \(.*\) \S (\d+) /s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1')) ?? [];
    return ppid === undefined ? null : Number(ppid);
  } catch {
    return null;
  }
}

/** npm is the parent, or the parent of the shell that is. */
function npmAbove(parent) {
  try {
    const isShell = readFileSync(`/proc/${parent}/cmdline`, 'latin1').split('\0').includes('-c');
    return isShell ? parentOf(parent) : null;
  } catch {
    return null;
  }
}

function watchNpm(gone) {
  if (!isNpmScript()) return;
  const parent = process.ppid;
  const npm = npmAbove(parent);
  const timer = setInterval(() => {
    // When the state cannot be read just now, the last one is kept.
    if (process.ppid === parent && (npm === null || [npm, null].includes(parentOf(parent)))) return;
    clearInterval(timer);
    gone();
  }, LOOK_EVERY_MS);
  timer.unref();
}

/** Tests, and what makes their database server or runs them. */
function isOfTests(command) {
  return command === 'test' || command.startsWith('tests/') || command === 'scripts/mutants.ts';
}

/** Environment variables that only tests have. */
async function environmentOfTests(command) {
  if (!isOfTests(command)) return {};
  const { folderOfTests } = await import('./memory-folder.mjs');
  return { TMPDIR: folderOfTests() };
}

function run(binary, args, more) {
  let child;
  // Before it is started: a signal that comes right after it would end this process and leave that one behind.
  for (const signal of FORWARDED) {
    try {
      process.on(signal, () => {
        if (!FROM_TERMINAL.includes(signal)) child.kill(signal);
      });
    } catch {
      // Not every platform has every signal.
    }
  }
  const env = { ...process.env, ...more, EXECUTION_ENGINE_LAUNCHER_PID: String(process.pid) };
  child = spawn(binary, args, { stdio: 'inherit', env });
  watchNpm(() => child.kill('SIGTERM'));
  child.on('error', (error) => fail(`Cannot run Bun at ${binary}: ${error.message}`));
  child.on('exit', (code, signal) => {
    // A shell's convention: 128 + the number of the signal that ended the child.
    process.exit(code ?? 128 + (osConstants.signals[signal] ?? 0));
  });
}

const binary = candidates().find(isBinary);
if (binary === undefined) {
  fail(
    `Bun was not found for ${process.platform}-${process.arch}. Run "npm ci" in ${root}, ` +
      `or install Bun ${wantedVersion()} from https://bun.sh and put it on the PATH.`,
  );
} else {
  const [command = '', ...args] = process.argv.slice(2);
  const limit = command === 'test' && !args.some((arg) => arg.startsWith('--timeout')) ? [TEST_LIMIT] : [];
  const more = await environmentOfTests(command);
  run(binary, command === '' ? [] : [command, ...limit, ...args], more);
}
