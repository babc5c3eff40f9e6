/**
 * Clocks that are wrong: libfaketime between a process and its wall clock. What measures durations is left alone, as
 * it is where an administrator or NTP sets a clock.
 */
import { existsSync, readdirSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Env } from '../engine.ts';

const LIBRARIES = '/usr/lib';

/** Null where libfaketime is not installed (Debian: `apt-get install faketime`). */
export const FAKETIME: string | null =
  process.platform === 'linux' && existsSync(LIBRARIES)
    ? (readdirSync(LIBRARIES)
        .map((folder) => join(LIBRARIES, folder, 'faketime', 'libfaketime.so.1'))
        .find(existsSync) ?? null)
    : null;

const SHARED = { LD_PRELOAD: FAKETIME ?? '', DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };

/** @param offset as libfaketime takes it: `+1h`, `-1h` */
export function clockAt(offset: string): Env {
  return { ...SHARED, FAKETIME: offset };
}

/** A clock that shows what the file says, as soon as it says so. */
export function clockIn(file: string): Env {
  return { ...SHARED, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' };
}

/** Sets the clock in the file, in one step. */
export async function setClock(file: string, offset: string): Promise<void> {
  await writeFile(`${file}.new`, `${offset}\n`);
  await rename(`${file}.new`, file);
}
