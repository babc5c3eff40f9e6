/**
 * The command line as a process, as people and scripts meet it.
 */
import { join } from 'node:path';

export interface CliEnd {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

export const CLI_MAIN = join(import.meta.dir, '..', '..', 'cli', 'main.ts');

/** Starts a command; nothing but `env` tells it of an engine or a proxy. */
export function startCli(args: readonly string[], { cwd, env, stdin = '' }: CliOptions = {}) {
  return Bun.spawn([process.execPath, CLI_MAIN, ...args], {
    ...(cwd === undefined ? {} : { cwd }),
    env: { PATH: process.env.PATH ?? '', ...env },
    stdin: new Blob([stdin]),
    stdout: 'pipe',
    stderr: 'pipe',
  });
}

/** Runs a command to its end. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliEnd> {
  const child = startCli(args, options);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}
