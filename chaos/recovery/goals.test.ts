/** The goals of a recovery run, met and not met. */
import { expect, test } from 'bun:test';
import { isGood, makeCaseReport, recoveryText } from './goals.ts';
import { parseRecoveryOptions } from './options.ts';
import { Findings } from './play.ts';

const options = parseRecoveryOptions(['--seed', '1']);
const portable = parseRecoveryOptions(['--seed', '1', '--backend', 'cockroachdb']);
const pooled = parseRecoveryOptions(['--seed', '1', '--case', 'kill', '--pooler']);
const ends = { seconds: 1, folder: '/nowhere' };

function found(faults: number[], problems: string[] = []): Findings {
  const findings = new Findings();
  findings.faults.push(...faults);
  findings.problems.push(...problems);
  return findings;
}

test('kills are recovered from in time by their median and their 99th percentile', () => {
  const fast = [...Array.from({ length: 99 }, () => 700), 5_000];
  expect(isGood(makeCaseReport('kill', options, found(fast), ends))).toBe(true);
  const slow = [...Array.from({ length: 98 }, () => 700), 5_000, 5_000];
  expect(isGood(makeCaseReport('kill', options, found(slow), ends))).toBe(false);
});

test('a case in which nothing was measured has met no goal', () => {
  expect(isGood(makeCaseReport('freeze', options, found([]), ends))).toBe(false);
});

test('a good time does not make up for what went wrong, and is told with it', () => {
  const report = makeCaseReport(
    'db-restart',
    options,
    found([100], ['1 x an attempt was made twice: x']),
    ends,
  );
  expect(isGood(report)).toBe(false);
  expect(recoveryText(options, [report])).toContain('WRONG 1 x an attempt was made twice: x');
});

test('without leases a kill may take as long as a missing heartbeat takes to tell', () => {
  expect(isGood(makeCaseReport('kill', options, found([9_000]), ends))).toBe(false);
  for (const withoutLeases of [portable, pooled]) {
    expect(isGood(makeCaseReport('kill', withoutLeases, found([9_000]), ends))).toBe(true);
    expect(isGood(makeCaseReport('kill', withoutLeases, found([11_000]), ends))).toBe(false);
  }
});
