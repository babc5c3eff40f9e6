/** Files that are hard to read, checked by the command line without an engine: in bounded memory, with a message. */
import { afterAll, expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childrenOf, memoryBytes } from '../../../process/process-usage.ts';
import { sized } from '../../support/core/size.ts';

const CLI = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));
const SIZE = sized(300_000, 900_000);
/** More than each of the two processes may take: the command, and the reader. */
const MAX_BYTES = sized(400, 800) * 2 ** 20;
const STEPS = sized(2_000, 9_000);

const folder = await mkdtemp(join(tmpdir(), 'execution-engine-cli-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function validate(name: string, text: string) {
  const file = join(folder, name);
  await writeFile(file, text);
  const child = Bun.spawn([process.execPath, CLI, 'validate', file], { stdout: 'pipe', stderr: 'pipe' });
  let bytes = 0;
  const look = () => {
    for (const pid of [child.pid, ...childrenOf(child.pid)])
      bytes = Math.max(bytes, memoryBytes(pid)?.resident ?? 0);
  };
  const looking = setInterval(look, 10);
  const error = await new Response(child.stderr).text();
  const code = await child.exited;
  clearInterval(looking);
  return { code, error, bytes };
}

test.each([
  ['deep.yaml', '['.repeat(SIZE), /malformed_yaml .*levels deep/],
  ['maps.yaml', '{a: '.repeat(SIZE / 4), /malformed_yaml .*levels deep/],
  ['lists.yaml', '- '.repeat(SIZE / 2), /malformed_yaml .*levels deep/],
  ['deep.json', '['.repeat(SIZE), /too_deep .*levels deep/],
  ['wide.yaml', `a: [${'{},'.repeat(SIZE / 3)}]`, /too_much_work|missing_field/],
  ['large.yaml', `a: "${'x'.repeat(2_000_000)}"`, /body_too_large/],
])('%s is refused', async (name, text, message) => {
  const { code, error, bytes } = await validate(name, text);
  expect(error).toMatch(message);
  expect(code).toBe(1);
  expect(bytes).toBeLessThan(MAX_BYTES);
});

test('a problem of a definition that can be read has its line, however large the file', async () => {
  const steps = Array.from(
    { length: STEPS },
    (_, at) => `  s${at}: { type: ${at === STEPS - 1_000 ? 'nope' : 'noop'} }`,
  );
  const { code, error } = await validate('many.yaml', `name: many\nsteps:\n${steps.join('\n')}\n`);
  expect(error).toContain(`(line ${STEPS - 1_000 + 3})`);
  expect(code).toBe(1);
});
