/**
 * The machine and the sources of the figures.
 */
import { spawnSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';

export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly bun: string;
  /** Of the sources that were measured; `+` when they differ from it. */
  readonly commit: string;
}

export function describeMachine(): Machine {
  return {
    cores: cpus().length,
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    kernel: `${process.platform} ${release()}`,
    bun: process.versions.bun ?? 'none',
    commit: commit(),
  };
}

function commit(): string {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' });
  const head = git('rev-parse', '--short', 'HEAD').stdout?.trim() || 'unknown';
  return git('status', '--porcelain', '--untracked-files=no').stdout?.trim() ? `${head}+` : head;
}

/** `2026-11-23-ab12cd3`: the name of a file of results. */
export function resultName(prefix: string, { commit }: Machine): string {
  const short = commit.replace('+', '-changed');
  return `${prefix}${new Date().toISOString().slice(0, 10)}-${short}`;
}
