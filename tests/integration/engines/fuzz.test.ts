/**
 * The fuzz harness, as `npm run fuzz` runs it: few documents, from a seed that is always the same.
 */
import { expect, test } from 'bun:test';
import { join } from 'node:path';

const MAIN = join(import.meta.dir, '..', '..', '..', 'chaos', 'fuzz', 'main.ts');
/** Far above what the script allows by itself: a test says nothing of how fast a machine is. */
const MAX_BLOCK = 5_000;

test('200 hostile documents are answered, and the engine goes on', async () => {
  const options = `--documents 200 --seed 20261130 --max-block ${MAX_BLOCK} --loads none`;
  const child = Bun.spawn([process.execPath, MAIN, ...options.split(' ')], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const said = await Promise.all([child.stdout, child.stderr].map((stream) => new Response(stream).text()));
  expect([await child.exited, said.join('\n')]).toEqual([0, expect.stringContaining('200 documents')]);
});
