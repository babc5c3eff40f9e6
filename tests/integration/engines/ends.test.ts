/**
 * The harness of ends, as `npm run ends` runs it: few races, from a seed that is always the same.
 */
import { expect, test } from 'bun:test';
import { join } from 'node:path';

const MAIN = join(import.meta.dir, '..', '..', '..', 'chaos', 'ends', 'main.ts');
/** Far above what the script allows by itself: a test says nothing of how fast a machine is. */
const MAX_MS = 120_000;

test('cancels and stops on two engines leave nothing open, whatever they meet', async () => {
  const options = `--races 60 --in-flight 15 --open 40 --most ${MAX_MS} --seed 20261130`;
  const child = Bun.spawn([process.execPath, MAIN, ...options.split(' ')], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const said = await Promise.all([child.stdout, child.stderr].map((stream) => new Response(stream).text()));
  expect([await child.exited, said.join('\n')]).toEqual([0, expect.stringContaining('60 races')]);
});
