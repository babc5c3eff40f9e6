/**
 * A disc of a few megabytes that can be filled: a file system in memory. To mount one takes root on Linux.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { open, rm, rmdir, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly folder: string;
  /** Takes all the room there is; what is freed meanwhile too. */
  fill(): Promise<void>;
  /** Gives it back. */
  free(): Promise<void>;
  remove(): Promise<void>;
}

/** Null where none can be mounted. */
export function mountSmallDisk(bytes: number): SmallDisk | null {
  const folder = mkdtempSync(join(tmpdir(), 'small-disk-'));
  const options = `size=${bytes},mode=755`;
  const mounted =
    process.platform === 'linux' && spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'none', folder]);
  if (mounted === false || mounted.status !== 0) {
    rmSync(folder, { recursive: true });
    return null;
  }
  const filler = join(folder, 'filler');
  return {
    folder,
    fill: () => fill(folder, filler),
    free: () => rm(filler, { force: true }),
    remove: async () => {
      // Lazily: whoever has files open there keeps nobody from going on.
      spawnSync('umount', ['-l', folder]);
      await rmdir(folder);
    },
  };
}

const BLOCK = Buffer.alloc(64 * 1024, 1);

async function fill(folder: string, filler: string): Promise<void> {
  const file = await open(filler, 'a');
  try {
    for (let size = BLOCK.length; size > 0; ) {
      const { bavail } = await statfs(folder);
      if (bavail === 0) return;
      const written = await file.write(BLOCK, 0, size).catch(() => null);
      // What is left is less than that.
      if (written === null) size >>= 1;
    }
  } finally {
    await file.close();
  }
}
