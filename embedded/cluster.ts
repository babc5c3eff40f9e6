/**
 * One data directory: creates it, starts a server on it, and reads the state of that server from its files.
 *
 * The engine has no lock of its own here. A half-made data directory has its own name and is renamed when it is
 * complete: of two engines that make one at once one wins, and a killed one leaves nothing in the
 * way. Of two servers started on one data directory PostgreSQL keeps one.
 *
 * Invariants
 * 1. `<folder>/pg<major>` exists only complete, with the password of its superuser in it.
 * 2. `postmaster.pid` is removed only when the process it names is not a server on this data directory.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  link,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import type { Place } from './place.ts';
import { runAs, spawnAs } from './user.ts';

const PASSWORD_FILE = 'engine.password';
const LARGEST_LOG_BYTES = 10_000_000;

/** The state according to `postmaster.pid`, checked against the process it names. */
export type ServerState =
  | { is: 'stopped' }
  | { is: 'starting'; pid: number }
  | { is: 'ready'; pid: number; port: number }
  /** The file names a live process that is something else: left over from before a restart of the machine. */
  | { is: 'foreign'; pid: number; file: string };

async function readPassword(place: Place): Promise<string> {
  return (await readFile(join(place.cluster, PASSWORD_FILE), 'utf8')).trim();
}

/** Returns the URL of the server of a place; it holds the superuser's password. */
export async function urlOf(place: Place, port: number): Promise<string> {
  return `postgres://postgres:${encodeURIComponent(await readPassword(place))}@127.0.0.1:${port}/postgres`;
}

export async function clusterExists(place: Place): Promise<boolean> {
  return stat(join(place.cluster, 'PG_VERSION')).then(
    () => true,
    () => false,
  );
}

/** Creates the data directory. Safe when several engines do it at once. Throws with initdb's own message. */
export async function initialise(place: Place, options: { sync: boolean }): Promise<void> {
  await removeLeftovers(place);
  const staging = await mkdtemp(`${place.cluster}.init.${process.pid}.`);
  const passwordFile = `${staging}.password`;
  try {
    await writeFile(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600, flush: true });
    await chmod(staging, 0o700);
    if (place.user !== null) {
      await chown(staging, place.user.uid, place.user.gid);
      await chown(passwordFile, place.user.uid, place.user.gid);
    }
    await runInitdb(place, staging, passwordFile, options.sync);
    await rename(passwordFile, join(staging, PASSWORD_FILE));
    await syncFolder(staging);
    await rename(staging, place.cluster).catch(async (error: unknown) => {
      if (!(await clusterExists(place))) throw error;
    });
    // A power cut must not bring the old name back: the data would then count as half-made.
    await syncFolder(place.folder);
  } finally {
    await rm(staging, { recursive: true, force: true });
    await rm(passwordFile, { force: true });
  }
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function runInitdb(place: Place, folder: string, passwordFile: string, sync: boolean): Promise<void> {
  const ran = await runAs(place.user, place.binaries.initdb, [
    `--pgdata=${folder}`,
    '--username=postgres',
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(sync ? [] : ['--no-sync']),
  ]);
  if (ran.code !== 0) {
    throw new Error(
      `PostgreSQL's data directory could not be made in ${place.folder}: ${lastLines(ran.stderr)}`,
    );
  }
}

/** Removes half-made data directories of dead engines. */
async function removeLeftovers(place: Place): Promise<void> {
  for (const name of await readdir(place.folder)) {
    const pid = /^pg\d+\.init\.(\d+)\./.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    // An orphaned initdb may still be writing into it; the next start removes it then.
    await rm(join(place.folder, name), { recursive: true, force: true }).catch(() => {});
  }
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Reads the state of the server; never changes anything. */
export async function inspect(place: Place): Promise<ServerState> {
  const file = await readFile(join(place.cluster, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = file.split('\n');
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return { is: 'stopped' };
  if (!(await servesCluster(place, pid))) return { is: 'foreign', pid, file };
  const port = Number(lines[3]);
  const ready = lines[7]?.trim() === 'ready';
  return ready && port > 0 ? { is: 'ready', pid, port } : { is: 'starting', pid };
}

/**
 * Returns whether the process is a server on this data directory: a server's working directory is its data. A
 * zombie process is not.
 */
export async function servesCluster(place: Place, pid: number): Promise<boolean> {
  const cluster = await realpath(place.cluster);
  if (process.platform === 'linux') {
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => null);
    if (cwd !== null) return cwd === cluster;
    // Hidden from us, as in some sandboxes; a process that has ended has no command line either.
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return command.includes(place.cluster) || command.includes(cluster);
  }
  // Only connecting can prove it there; the caller connects before it adopts the server.
  if (process.platform === 'win32') return true;
  const { stdout: command } = await runAs(null, '/bin/ps', ['-o', 'command=', '-p', String(pid)]);
  const served = / -D (.+?) -p \d/.exec(command)?.[1];
  if (served === undefined) return command.includes('postgres');
  return (await realpath(served).catch(() => served)) === cluster;
}

/**
 * Removes a `postmaster.pid` whose process is something else. PostgreSQL would refuse to start on it. When
 * another engine was faster and a server has written a new file meanwhile, the new file is put back.
 */
export async function removeForeignPidFile(place: Place, judged: string): Promise<void> {
  const path = join(place.cluster, 'postmaster.pid');
  const aside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) !== judged) await link(aside, path).catch(() => {});
  } catch {
    // Gone already.
  } finally {
    await rm(aside, { force: true });
  }
}

export interface Launched {
  readonly pid: number | undefined;
  /** Resolves when the server has ended, with its log output since it was started. */
  readonly ended: Promise<string>;
}

/**
 * Starts a server in a session of its own: it survives this process and ignores Ctrl-C in its terminal.
 * `settings` are PostgreSQL's, by name.
 */
export async function launch(
  place: Place,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<Launched> {
  await rotateLog(place.log);
  const log = await open(place.log, 'a', 0o600);
  const { size } = await log.stat();
  const args = ['-D', place.cluster, '-p', String(port)];
  for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`);
  const { promise: ended, resolve } = Promise.withResolvers<string>();
  let pid: number | undefined;
  try {
    const stdio: ['ignore', number, number] = ['ignore', log.fd, log.fd];
    const child = spawn(place.binaries.postgres, args, { ...spawnAs(place.user), detached: true, stdio });
    child.on('error', (error) => resolve(error.message));
    child.on('exit', async () => {
      const written = await readFile(place.log).catch(() => Buffer.alloc(0));
      resolve(lastLines(written.subarray(size).toString()));
    });
    child.unref();
    pid = child.pid;
  } finally {
    await log.close();
  }
  return { pid, ended };
}

async function rotateLog(path: string): Promise<void> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > LARGEST_LOG_BYTES) await rename(path, `${path}.1`).catch(() => {});
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-8).join(' | ');
}
