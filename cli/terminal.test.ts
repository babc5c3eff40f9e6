/**
 * Tables for people.
 */
import { expect, test } from 'bun:test';
import { fittingTable, table } from './terminal.ts';

const HEADING = ['ID', 'STATUS', 'TAGS', 'ERROR'];
const ROWS = [
  ['0197a3c4-5b6d-7e8f-9012-3456789abcde', 'failed', 'a'.repeat(40), 'e'.repeat(80)],
  ['0297a3c4-5b6d-7e8f-9012-3456789abcde', 'completed', null, null],
];

test.each([200, 130, 100, 80, 60, 20])(
  'a table fits into %d columns, as far as names stay whole',
  (columns) => {
    const lines = fittingTable({ columns }, HEADING, ROWS).split('\n');
    const widest = Math.max(...lines.map((line) => line.length));
    // An id, three gaps, a status and two columns of twelve signs.
    expect(widest).toBeLessThanOrEqual(Math.max(columns, 36 + 3 * 2 + 9 + 2 * 12));
    expect(lines[1]).toStartWith(`${ROWS[0]![0]}  failed`);
  },
);

test('where it fits, or there is no terminal, nothing is cut', () => {
  const whole = table(HEADING, ROWS);
  for (const columns of [undefined as unknown as number, 200])
    expect(fittingTable({ columns }, HEADING, ROWS)).toBe(whole);
  expect(whole).toContain('e'.repeat(80));
});
