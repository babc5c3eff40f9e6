/**
 * The chaos harness with 2,000 executions and every kind of fault.
 *
 * Takes two minutes of faults and more: runs with EXECUTION_ENGINE_HEAVY=1 only, as a step of `.ci/run`.
 */
import { expect, test } from 'bun:test';
import { runChaos } from '../support/chaos-run.ts';
import { IN_FULL } from '../support/core/size.ts';

const LIMIT_MS = 900_000;

test.skipIf(!IN_FULL)(
  '2,000 executions end as they should while engines, database and connections fail',
  async () => {
    const { code, output, report } = await runChaos(
      '--executions 2000 --engines 3 --seed 20261123 --in-flight 800 --at-least 75 --at-most 420 --calm 240 ' +
        '--kill-every 2-5 --pause-every 6-12 --pause-for 5-14 --db-every 6-12',
    );
    expect([code, output]).toEqual([0, '']);
    expect(report.violations).toEqual([]);
    expect(report.figures.killsThatHit).toBeGreaterThan(0);
    expect(Object.keys(report.faults.details)).toEqual(
      expect.arrayContaining([
        'kill -9 of a backend',
        'kill -9 of the postmaster',
        'immediate stop of PostgreSQL',
      ]),
    );
    const { scopes, compensations } = report.checked;
    expect([scopes, compensations, report.signals.sent].map((count) => count > 0)).toEqual([
      true,
      true,
      true,
    ]);
    expect([report.wire.eaten, report.wire.cut, report.wire.silenced].map((count) => count > 0)).toEqual([
      true,
      true,
      true,
    ]);
  },
  LIMIT_MS,
);
