/**
 * The chaos harness, as `npm run chaos` runs it: with a seed that is always the same, and small enough to be part of
 * every test run.
 */
import { expect, test } from 'bun:test';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '../../chaos/report.ts';

const MAIN = join(import.meta.dir, '..', '..', 'chaos', 'main.ts');
const LIMIT_MS = 900_000;

async function chaos(options: string): Promise<{ code: number; output: string; report: Report }> {
  const folder = await mkdtemp(join(tmpdir(), 'chaos-report-'));
  const file = join(folder, 'report.json');
  try {
    const child = Bun.spawn([process.execPath, MAIN, ...options.split(' '), '--report', file], {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    const code = await child.exited;
    const output = `${out}\n${err}`;
    return { code, output, report: JSON.parse(await readFile(file, 'utf8').catch(() => 'null')) as Report };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test(
  '2,000 executions end as they should while engines, database and connections fail',
  async () => {
    const { code, output, report } = await chaos(
      '--executions 2000 --engines 3 --seed 20261123 --in-flight 800 --at-least 75 --at-most 420 --calm 240 ' +
        '--kill-every 2-5 --pause-every 6-12 --pause-for 5-14 --db-every 6-12',
    );
    expect([code, code === 0 ? '' : output]).toEqual([0, '']);
    expect(report.violations).toEqual([]);
    expect(report.figures.killsThatHit).toBeGreaterThan(0);
    expect(Object.keys(report.faults.details)).toEqual(
      expect.arrayContaining([
        'kill -9 of a backend',
        'kill -9 of the postmaster',
        'immediate stop of PostgreSQL',
      ]),
    );
    expect([report.wire.eaten, report.wire.cut, report.wire.silenced].map((count) => count > 0)).toEqual([
      true,
      true,
      true,
    ]);
  },
  LIMIT_MS,
);

test(
  'a run in which too little happens is invalid and not green',
  async () => {
    const { code, report } = await chaos(
      '--executions 5 --engines 1 --seed 1 --templates 5 --faults kill --kill-every 1000-1000 --at-least 0',
    );
    expect([code, report.verdict]).toEqual([2, 'invalid']);
    expect(report.shortcomings.join()).toContain('faults of kind kill: 0');
    await rm(report.folder!, { recursive: true, force: true });
  },
  LIMIT_MS,
);
