/**
 * Chooses the folder and the owner of the embedded PostgreSQL's data.
 *
 * The requested folder, unless this process is root and the service user has no access to it: then a
 * folder under /var/lib whose name is derived from the requested one. An existing data directory is always
 * preferred to a new one, so a change of permissions never shows an empty database.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Binaries, locateBinaries } from './binaries.ts';
import { canWorkIn, type ServiceUser, serviceUser, userById } from './user.ts';

export interface Place {
  /** Holds the data directory, its log and half-made data directories. */
  readonly folder: string;
  /** The data directory, `<folder>/pg<major>`; it may not exist yet. */
  readonly cluster: string;
  readonly log: string;
  /** Null: the user of this process. */
  readonly user: ServiceUser | null;
  readonly binaries: Binaries;
}

type Log = (message: string) => void;

/** Throws with the folder and advice when no folder can be used. */
export async function choosePlace(dataDir: string, log: Log): Promise<Place> {
  const wanted = resolve(dataDir);
  const user = await serviceUser();
  const binaries = await locateBinaries(user, log);
  const folders = foldersFor(wanted, user);
  for (const folder of folders) {
    const place = await existingPlace(folder, user, binaries, log);
    if (place !== null) return place;
  }
  for (const folder of folders) {
    if (!(await prepare(folder, user))) continue;
    if (folder !== wanted) {
      log(`PostgreSQL's data is kept in ${folder}: the user ${user?.name} cannot work in ${wanted}`);
    }
    return placeIn(folder, user, binaries);
  }
  throw new Error(
    `The folder ${wanted} cannot be written by ${user?.name ?? 'this user'}: ` +
      'set EXECUTION_ENGINE_DATA_DIR to one that can, or set DATABASE_URL',
  );
}

function placeIn(folder: string, user: ServiceUser | null, binaries: Binaries): Place {
  const cluster = join(folder, `pg${binaries.major}`);
  return { folder, cluster, log: `${cluster}.log`, user, binaries };
}

function outsideFolder(wanted: string): string {
  const hash = createHash('sha256').update(wanted).digest('hex').slice(0, 16);
  return join('/var/lib/execution-engine', hash);
}

/** Like `choosePlace`, for data that is there already: makes no folder. Null: there is none. */
export async function findPlace(dataDir: string, log: Log): Promise<Place | null> {
  const wanted = resolve(dataDir);
  const user = await serviceUser();
  const binaries = await locateBinaries(user, log);
  for (const folder of foldersFor(wanted, user)) {
    const place = await existingPlace(folder, user, binaries, log);
    if (place !== null) return place;
  }
  return null;
}

function foldersFor(wanted: string, user: ServiceUser | null): string[] {
  return user === null ? [wanted] : [wanted, outsideFolder(wanted)];
}

/** Returns the place of an existing data directory, with its owner; null when there is none. */
async function existingPlace(
  folder: string,
  user: ServiceUser | null,
  binaries: Binaries,
  log: Log,
): Promise<Place | null> {
  const place = placeIn(folder, user, binaries);
  const found = await stat(place.cluster).catch(() => null);
  if (found === null) {
    await refuseOtherMajor(folder, binaries.major);
    return null;
  }
  if (user === null) {
    if (found.uid === process.getuid?.() || process.platform === 'win32') return place;
    throw new Error(`${place.cluster} belongs to another user (${found.uid}): run the engine as that user`);
  }
  const owner = await userById(found.uid, found.gid);
  const ownerBinaries = owner.uid === user.uid ? binaries : await locateBinaries(owner, log);
  if (await canWorkIn(owner, folder)) return { ...place, user: owner, binaries: ownerBinaries };
  throw new Error(
    `${place.cluster} holds data, but its owner ${owner.name} cannot get into ${folder} any more: ` +
      `give ${owner.name} access to the folders above it, or move it to a folder it can enter and set EXECUTION_ENGINE_DATA_DIR`,
  );
}

async function refuseOtherMajor(folder: string, major: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const other = names.find((name) => /^pg\d+$/.test(name) && name !== `pg${major}`);
  if (other === undefined) return;
  throw new Error(
    `${join(folder, other)} holds data of PostgreSQL ${other.slice(2)}, but this version runs ${major}: upgrade it with ` +
      `pg_upgrade into ${join(folder, `pg${major}`)}, or move it away to start empty`,
  );
}

async function prepare(folder: string, user: ServiceUser | null): Promise<boolean> {
  try {
    const made = await mkdir(folder, { recursive: true });
    // Created by root under a strict umask, the folder would be closed to the service user.
    if (made !== undefined && user !== null) await chmod(folder, 0o755);
  } catch {
    return false;
  }
  return canWorkIn(user, folder);
}
