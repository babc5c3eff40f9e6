/**
 * `bun run mutants`: applies deliberate bugs one at a time, to a copy of the project, and runs the tests that must
 * notice each. A suite that does not notice one has a gap.
 *
 * Exit code 0: all were caught. `--only <part of a name>` takes some of them. A test run that does not end counts as a
 * failure.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Mutant } from './mutant.ts';
import { MUTANTS } from './mutant-catalogue.ts';

const ROOT = join(import.meta.dirname, '..');
const TEST = ['test', '--parallel=2', '--timeout=60000', '--bail=1'];

/** Properties are tried on all of their cases, of which `npm test` takes a part. */
const ALL_CASES = { FUZZ_RUNS: '1' };
/** Of the tests without a mutant, and of those of one mutant. */
const LONGEST_BASE_MS = 900_000;
const LONGEST_MS = 240_000;

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const chosen = MUTANTS.filter(({ name }) => name.includes(values.only));
if (chosen.length === 0) {
  console.error(`No mutant's name contains "${values.only}".`);
  process.exit(2);
}

const copy = mkdtempSync(join(tmpdir(), 'execution-engine-mutants-'));
let survivors = 0;
try {
  copyProject();
  const failed = await failedTests([...new Set(chosen.flatMap(({ tests }) => tests))], LONGEST_BASE_MS);
  if (failed.length > 0) {
    console.error(`The tests fail without any mutant: nothing can be said.\n${failed.join('\n')}`);
    survivors = chosen.length;
  } else for (const mutant of chosen) if (!(await isCaught(mutant))) survivors += 1;
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(`${chosen.length - survivors} of ${chosen.length} mutants caught`);
process.exit(survivors === 0 ? 0 : 1);

function copyProject(): void {
  const { stdout } = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  for (const file of stdout.split('\0').filter(Boolean)) {
    mkdirSync(join(copy, dirname(file)), { recursive: true });
    cpSync(join(ROOT, file), join(copy, file));
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
}

async function isCaught({ name, file, find, replace, tests }: Mutant): Promise<boolean> {
  const path = join(copy, file);
  const original = readFileSync(path, 'utf8');
  if (original.split(find).length !== 2) {
    console.log(`GONE      ${name}: ${file} does not hold its text once`);
    return false;
  }
  writeFileSync(
    path,
    original.replace(find, () => replace),
  );
  const caught = (await failedTests(tests, LONGEST_MS)).length > 0;
  writeFileSync(path, original);
  console.log(`${caught ? 'caught   ' : 'SURVIVED '} ${name}`);
  return caught;
}

/**
 * Returns what failed: lines of the test runner, or its end. The tests run in a process group of their own, which ends
 * with them: tests that break leave engines behind.
 */
async function failedTests(tests: readonly string[], longestMs: number): Promise<string[]> {
  const log = join(copy, 'tests.log');
  const file = openSync(log, 'w');
  const stdio = ['ignore' as const, file, file];
  const env = { ...process.env, ...ALL_CASES };
  const child = spawn(process.execPath, [...TEST, ...tests], { cwd: copy, env, stdio, detached: true });
  const end = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // No process is left in it.
    }
  };
  const timer = setTimeout(end, longestMs);
  const [code, signal] = await once(child, 'exit');
  clearTimeout(timer);
  end();
  closeSync(file);
  if (code === 0) return [];
  const lines = readFileSync(log, 'utf8').split('\n');
  return [
    ...new Set(lines.filter((line) => line.startsWith('(fail)'))),
    `exit code ${code}, signal ${signal}`,
  ];
}
