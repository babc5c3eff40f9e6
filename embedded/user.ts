/**
 * Chooses the user of the embedded PostgreSQL. PostgreSQL refuses root, so an engine that runs as root starts it as
 * `postgres`, or `nobody` where that does not exist; any other engine starts it as itself.
 *
 * Permissions of that user are tested by acting as that user: permission bits do not reflect ACLs, mount
 * options and parent folders.
 */
import { spawn } from 'node:child_process';
import { chown, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

export interface ServiceUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface Ran {
  /** Exit code; null when a signal ended it or it could not be started. */
  code: number | null;
  stdout: string;
  /** Also holds the reason when it could not be started. */
  stderr: string;
}

/** initdb looks its user up by number, so the user must be in the password file. */
const CANDIDATES = ['postgres', 'nobody'];

/** Returns null to run as the user of this process. Throws when this process is root and no service user exists. */
export async function serviceUser(): Promise<ServiceUser | null> {
  if (process.getuid?.() !== 0) return null;
  const users = await readUsers();
  const user = CANDIDATES.map((name) => users.find((found) => found.name === name)).find((found) => found);
  if (user === undefined) {
    throw new Error(
      'PostgreSQL does not run as root and there is neither a user "postgres" nor "nobody" to run it as: ' +
        'start the engine as another user, or set DATABASE_URL',
    );
  }
  return user;
}

/** Returns the user of a number; a user missing in the password file has only the number. */
export async function userById(uid: number, gid: number): Promise<ServiceUser> {
  const known = (await readUsers()).find((user) => user.uid === uid);
  return known ?? { name: String(uid), uid, gid };
}

async function readUsers(): Promise<ServiceUser[]> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    return name && uid && gid ? [{ name, uid: Number(uid), gid: Number(gid) }] : [];
  });
}

/** Returns spawn options that run a child as the user, without this process's environment (it holds secrets). */
export function spawnAs(user: ServiceUser | null) {
  return {
    ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
    // The service user may lack access to the current folder.
    cwd: process.platform === 'win32' ? undefined : '/',
    env: process.platform === 'win32' ? undefined : { LC_ALL: 'C', PATH: '/usr/local/bin:/usr/bin:/bin' },
  };
}

/** Runs a program to its end as the user. Never throws. */
export function runAs(user: ServiceUser | null, program: string, args: readonly string[]): Promise<Ran> {
  const { promise, resolve } = Promise.withResolvers<Ran>();
  const child = spawn(program, args, { ...spawnAs(user), stdio: ['ignore', 'pipe', 'pipe'] });
  const ran: Ran = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    ran.stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    ran.stderr += chunk.toString();
  });
  child.on('error', (error) => resolve({ ...ran, stderr: error.message }));
  child.on('close', (code) => resolve({ ...ran, code }));
  return promise;
}

/** Returns whether the user can reach the folder and work in a subfolder: tested with one that is then removed. */
export async function canWorkIn(user: ServiceUser | null, folder: string): Promise<boolean> {
  let probe: string | undefined;
  try {
    probe = await mkdtemp(join(folder, '.probe-'));
    if (user === null) return true;
    await chown(probe, user.uid, user.gid);
    const ran = await runAs(user, '/bin/sh', ['-c', ': > "$1/file"', 'sh', probe]);
    return ran.code === 0;
  } catch {
    return false;
  } finally {
    if (probe !== undefined) await rm(probe, { recursive: true, force: true });
  }
}
