import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { isExactNumber } from '../../core/json/exact-number.ts';
import { cases } from '../../tests/support/core/cases.ts';
import { functionsClient } from '../../tests/support/database/functions-client.ts';

const client = functionsClient();

/** The texts that are not stored as the engine would store what it parses from them. */
async function different(texts: readonly string[]): Promise<object[]> {
  const { rows } = await client().query(
    `select text, execution_engine_as_doubles(text::jsonb)::text as found, written::jsonb::text as expected
       from unnest($1::text[], $2::text[]) t (text, written)
      where execution_engine_as_doubles(text::jsonb)::text is distinct from written::jsonb::text`,
    [texts, texts.map((text) => JSON.stringify(JSON.parse(text)))],
  );
  return rows;
}

const number = fc
  .oneof(
    fc
      .tuple(
        fc.stringMatching(/^-?(0|[1-9][0-9]{0,24})$/),
        fc.stringMatching(/^(\.[0-9]{1,40})?$/),
        fc.oneof(
          fc.constant(''),
          fc.integer({ min: -420, max: 320 }).map((power) => `e${power}`),
        ),
      )
      .map((parts) => parts.join('')),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  )
  .filter(isExactNumber);

test('a number is stored as the engine writes its double', async () => {
  const least = [
    '5e-324',
    '-5e-324',
    '2.4703282292062327e-324',
    '2.4703282292062328e-324',
    '3e-324',
    '2e-324',
  ];
  const fixed = [
    '0.10000000000000000555',
    '1e-400',
    '-1e-400',
    '1.10',
    '10.0',
    '-0',
    '-0.0',
    '1e23',
    '100',
    '0.30',
  ];
  const literals = [...fixed, ...least, ...fc.sample(number, cases(5_000))];
  expect(await different(literals)).toEqual([]);
});

test('everything but numbers stays as it is, at every place', async () => {
  const text = fc.string({ unit: fc.constantFrom(...'0123456789.-"\\[]{},: ü'), maxLength: 40 });
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 4 },
      number,
      text.map((value) => JSON.stringify(value)),
      fc.constantFrom('null', 'true', 'false', '1.10'),
      fc.array(tie('json') as fc.Arbitrary<string>).map((items) => `[${items.join(',')}]`),
      fc
        .uniqueArray(fc.tuple(text, tie('json') as fc.Arbitrary<string>), { selector: ([name]) => name })
        .map(
          (members) => `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`,
        ),
    ) as fc.Arbitrary<string>,
  }));
  expect(await different(fc.sample(json, cases(1_000)))).toEqual([]);
  expect(await different([`${'['.repeat(511)}1.10${']'.repeat(511)}`])).toEqual([]);
});
