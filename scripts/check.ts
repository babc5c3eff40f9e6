/**
 * `bun run check`: types, format and lint, unused code, the house rules. Every check runs; the first failure decides.
 */
import { spawnSync } from 'node:child_process';

const BIN = 'node_modules/.bin';
const CHECKS: readonly [string, string[]][] = [
  ['types', [`${BIN}/tsc`, '--noEmit']],
  ['format and lint', [`${BIN}/biome`, 'check', '--error-on-warnings', '.']],
  ['unused code', [process.execPath, `${BIN}/knip`]],
  ['house rules', [process.execPath, 'test', 'tests/tidy.test.ts']],
];

let failed = false;
for (const [name, [command, ...args]] of CHECKS) {
  const { status, stdout, stderr } = spawnSync(command!, args, { encoding: 'utf8' });
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name}`);
  if (status === 0) continue;
  failed = true;
  process.stdout.write(stdout + stderr);
}
process.exit(failed ? 1 : 0);
