/**
 * Builds the files of the client's package besides its README: JavaScript with types, and the licence. `npm pack` in
 * client/ runs this before, and after with `--clean`.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const CLIENT = join(ROOT, 'client');
const DIST = join(CLIENT, 'dist');
const LICENCE = join(CLIENT, 'LICENSE');

rmSync(DIST, { recursive: true, force: true });
rmSync(LICENCE, { force: true });
if (!process.argv.includes('--clean')) build();

function build(): void {
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
  const { status } = spawnSync(tsc, ['-p', CLIENT], { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
  for (const file of emitted()) {
    // The other rooms lend types alone.
    if (file.endsWith('.js') && !file.startsWith('client/')) rmSync(join(DIST, file));
    // The compiler changes the names of imports in JavaScript only.
    if (file.endsWith('.d.ts')) rewriteImports(join(DIST, file));
  }
  copyFileSync(join(ROOT, 'LICENSE'), LICENCE);
}

function emitted(): string[] {
  return readdirSync(DIST, { recursive: true, encoding: 'utf8' }).map((file) => file.replaceAll('\\', '/'));
}

function rewriteImports(file: string): void {
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(/((?:from|import\()\s*['"]\.[^'"]*)\.ts(['"])/g, '$1.js$2'));
}
