/**
 * The chaos harness with a seed that is always the same, and small enough to be part of every test run. The run of
 * 2,000 executions is in tests/heavy.
 */
import { expect, test } from 'bun:test';
import { rm } from 'node:fs/promises';
import { runChaos } from '../../support/chaos-run.ts';

/** Far more than it takes: a busy machine makes the run longer, and not red. */
const LIMIT_MS = 900_000;

test(
  '40 executions end as they should while engines, database and connections fail',
  async () => {
    const { code, output, report } = await runChaos(
      '--executions 40 --engines 3 --seed 20261123 --in-flight 40 --templates 12 --max-steps 20 --at-least 5 --at-most 400 --calm 240 ' +
        '--kill-every 1-3 --pause-every 3-6 --pause-for 1-3 --db-every 2-4 --eat 0.1 --cut 0.1',
    );
    expect([code, output]).toEqual([0, '']);
    expect(report.violations).toEqual([]);
    expect(report.figures.killsThatHit).toBeGreaterThan(0);
    expect([report.wire.eaten, report.wire.cut].map((count) => count > 0)).toEqual([true, true]);
  },
  LIMIT_MS,
);

test(
  'a run in which too little happens is invalid and not green',
  async () => {
    const { code, report } = await runChaos(
      '--executions 5 --engines 1 --seed 1 --templates 5 --faults kill --kill-every 1000-1000 --at-least 0 --at-most 1',
    );
    expect([code, report.verdict]).toEqual([2, 'invalid']);
    expect(report.shortcomings.join()).toContain('faults of kind kill: 0');
    await rm(report.folder!, { recursive: true, force: true });
  },
  LIMIT_MS,
);
