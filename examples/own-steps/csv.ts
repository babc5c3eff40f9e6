/**
 * `csv`: reads text of comma-separated values (RFC 4180) into a list of objects, named by its first line.
 */
import { defineStep, StepFailure } from 'execution-engine/steps';

export default defineStep({
  type: 'csv',
  summary: 'Reads comma-separated values.',
  params: {
    type: 'object',
    additionalProperties: false,
    required: ['text'],
    properties: {
      text: { type: 'string' },
      separator: { enum: [',', ';', '\t'], default: ',' },
    },
  },
  run({ params: { text, separator = ',' } }) {
    const [names, ...rows] = rowsOf(text, separator);
    if (names === undefined) return [];
    return rows.map((row, at) => {
      if (row.length !== names.length) {
        const message = `line ${at + 2} has ${row.length} values, and the first line ${names.length} names`;
        // The same text cannot be read the next time either: not retryable.
        throw new StepFailure('csv_uneven', message, { details: { line: at + 2 } });
      }
      return Object.fromEntries(names.map((name, column) => [name, row[column]!]));
    });
  },
});

function rowsOf(text: string, separator: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  // A value in quotes, in which quotes are doubled, or one without; then a separator, a line break or the end.
  const value = new RegExp(`(?:"((?:[^"]|"")*)"|([^"\\r\\n${separator}]*))(${separator}|\\r?\\n|$)`, 'y');
  while (value.lastIndex < text.length) {
    const at = value.lastIndex;
    const found = value.exec(text);
    if (found === null)
      throw new StepFailure('csv_unreadable', `a quote is not closed after character ${at}`);
    row.push(found[1]?.replaceAll('""', '"') ?? found[2] ?? '');
    if (found[3] === separator) continue;
    rows.push(row);
    row = [];
  }
  if (row.length > 0) rows.push([...row, '']);
  return rows;
}
