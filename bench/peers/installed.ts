/** Versions of the packages installed in this folder, read from the lock file. */
import { readFileSync } from 'node:fs';

const lock = JSON.parse(readFileSync(new URL('./package-lock.json', import.meta.url), 'utf8'));

export function versionsOf(...names: string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, lock.packages[`node_modules/${name}`].version]));
}

export const RUNTIME =
  process.versions.bun === undefined ? `Node ${process.versions.node}` : `Bun ${process.versions.bun}`;

/** A connection string without its password does not exist here: it is only ever handed on. */
export const DATABASE_URL = process.env.DATABASE_URL!;
