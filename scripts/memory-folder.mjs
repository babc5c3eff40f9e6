/**
 * Temporary files of tests are kept in memory where the machine lets them: databases by the dozen are made and dropped,
 * and a file system on a disc spends more processor time on their files than PostgreSQL does on its work.
 *
 * Each folder for temporary files has one of its own in memory, with a name that is made from it, so that TMPDIR still
 * gives a test server of one's own.
 */
import { chmodSync, mkdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';

const MEMORY = '/dev/shm';
/** More than a run needs. */
const LEAST_ROOM_BYTES = 4 * 2 ** 30;
/** The rest of the machine needs memory too. */
const LEAST_MEMORY_BYTES = 3 * LEAST_ROOM_BYTES;

/** Returns whether the mount at `path` is in memory, and lets programs run. @param mounts as in /proc/mounts */
export function isUsable(mounts, path) {
  const mount = mounts.split('\n').findLast((line) => line.split(' ')[1] === path);
  const [, , type, options = ''] = mount?.split(' ') ?? [];
  return type === 'tmpfs' && !options.split(',').some((option) => option === 'noexec' || option === 'ro');
}

/** Returns the folder in memory for a folder for temporary files of a user; `.ci/run` makes the same name. */
export function nameInMemory(folder, uid) {
  return `${MEMORY}/execution-engine-tests-${uid}${folder.replaceAll('/', '-')}`;
}

/** Returns the folder for temporary files of tests. The answer depends on nothing that changes during a run. */
export function folderOfTests() {
  const folder = tmpdir();
  if (process.platform !== 'linux' || folder.startsWith(`${MEMORY}/`)) return folder;
  try {
    const { blocks, bsize } = statfsSync(MEMORY);
    const hasRoom = blocks * bsize >= LEAST_ROOM_BYTES && totalmem() >= LEAST_MEMORY_BYTES;
    if (!hasRoom || !isUsable(readFileSync('/proc/mounts', 'utf8'), MEMORY)) return folder;
    const uid = process.getuid();
    const inMemory = nameInMemory(folder, uid);
    mkdirSync(inMemory, { recursive: true });
    if (statSync(inMemory).uid !== uid) return folder;
    // The embedded PostgreSQL refuses to run as root and then runs as another user, who must get in there.
    chmodSync(inMemory, 0o755);
    return inMemory;
  } catch {
    return folder;
  }
}
