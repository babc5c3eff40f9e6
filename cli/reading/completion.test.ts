/**
 * Completion as a shell does it: the script that the command line prints, in a bash.
 */
import { beforeAll, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCli } from '../../tests/support/cli.ts';

let bash: string;
let zsh: string;
let help: string;

beforeAll(async () => {
  const of = async (...args: string[]) => (await runCli(args, { cwd: tmpdir(), env: {}, stdin: '' })).out;
  [bash, zsh, help] = await Promise.all([of('completion', 'bash'), of('completion', 'zsh'), of('--help')]);
});

/** What a bash offers for the last word of a line. */
function offered(words: readonly string[], cwd = tmpdir()): string[] {
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const script = `${bash}\nCOMP_WORDS=(${quoted}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _execution_engine; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd });
  expect(stderr).toBe('');
  return stdout.split('\n').filter(Boolean).sort();
}

const commands = () => [...help.matchAll(/^ {2}([a-z]+) .*(?:<|\[options\])/gm)].map(([, name]) => name!);

test('every command is offered, and those that begin so', () => {
  expect(commands().length).toBeGreaterThan(20);
  expect(offered(['execution-engine', ''])).toEqual(expect.arrayContaining(commands()));
  expect(offered(['execution-engine', 'sta'])).toEqual(['start', 'stats', 'status']);
  expect(offered(['execution-engine', '--url', 'http://localhost:1', 'sta'])).toEqual([
    'start',
    'stats',
    'status',
  ]);
});

test.each([
  [
    ['list', '--s'],
    ['--search', '--since', '--sort', '--status'],
  ],
  [['-o', 'json', 'stats', '--b'], ['--bucket']],
  [
    ['list', '--output', ''],
    ['json', 'table'],
  ],
  [['claim', 'q', '--wait', '--m'], []],
  [['start', 't', '--wait', '--pri'], ['--priority']],
  [['status', 'x'], []],
])('%j offers %j', (words, wanted) => {
  expect(offered(['execution-engine', ...words])).toEqual([...wanted]);
});

test('files are offered where a command takes one, and for the values of options', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'completion-'));
  try {
    await writeFile(join(folder, 'flow.yaml'), '');
    expect(offered(['execution-engine', 'publish', 'fl'], folder)).toEqual(['flow.yaml']);
    expect(offered(['execution-engine', 'run', 'x.yaml', '--input', 'fl'], folder)).toEqual(['flow.yaml']);
    expect(offered(['execution-engine', 'stop', 'fl'], folder)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('the script of zsh has every command with its description', () => {
  expect(zsh).toStartWith('#compdef execution-engine\n');
  for (const name of commands()) expect(zsh).toMatch(new RegExp(`^ {4}'${name}:.+'$`, 'm'));
});
