/**
 * A run of the chaos harness, as `npm run chaos` makes it, in a process of its own.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '../../chaos/report.ts';

const MAIN = join(import.meta.dir, '..', '..', 'chaos', 'main.ts');

export interface ChaosRun {
  readonly code: number;
  /** What it said, if it did not end with 0. */
  readonly output: string;
  readonly report: Report;
}

export async function runChaos(options: string): Promise<ChaosRun> {
  const folder = await mkdtemp(join(tmpdir(), 'chaos-report-'));
  const file = join(folder, 'report.json');
  try {
    const child = Bun.spawn([process.execPath, MAIN, ...options.split(' '), '--report', file], {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const said = await Promise.all([child.stdout, child.stderr].map((stream) => new Response(stream).text()));
    const code = await child.exited;
    const report = JSON.parse(await readFile(file, 'utf8').catch(() => 'null')) as Report;
    return { code, output: code === 0 ? '' : said.join('\n'), report };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
