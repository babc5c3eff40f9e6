import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { isExactNumber } from '../../core/json/exact-number.ts';
import { cases } from '../../tests/support/core/cases.ts';
import { functionsClient } from '../../tests/support/database/functions-client.ts';

const client = functionsClient();

/** For each text of a JSON value the pointer of its number that is not exact, or null. */
async function pointers(texts: readonly string[]): Promise<(string | null)[]> {
  const { rows } = await client().query(
    `select execution_engine_inexact_number(text::jsonb) as pointer
       from unnest($1::text[]) with ordinality t (text, at) order by at`,
    [texts],
  );
  return rows.map(({ pointer }) => pointer);
}

test('the database judges every number as the engine does', async () => {
  const digits = fc.stringMatching(/^-?[1-9][0-9]{0,24}$/);
  const fraction = fc.stringMatching(/^(\.[0-9]{1,20})?$/);
  const exponent = fc.oneof(
    fc.constant(''),
    fc.integer({ min: -30, max: 320 }).map((power) => `e${power}`),
  );
  const written = fc.tuple(digits, fraction, exponent).map((parts) => parts.join(''));
  const doubles = fc.double({ noNaN: true, noDefaultInfinity: true, min: 2 ** 50 }).map(String);
  const nearby = fc
    .tuple(fc.integer({ min: 52, max: 70 }), fc.integer({ min: -3, max: 3 }))
    .map(([power, step]) => String(2n ** BigInt(power) + BigInt(step)));
  const fixed = ['9007199254740991.5', '9007199254740991.4', '1e23', '1e400', '-1e400', '0', '-0', '1.10'];
  const literals = [...fixed, ...fc.sample(fc.oneof(written, doubles, nearby), cases(5_000))];
  const found = await pointers(literals);
  const wrong = literals.filter((literal, at) => (found[at] === null) !== isExactNumber(literal));
  expect(wrong).toEqual([]);
});

test('the place is a JSON pointer, through objects and arrays', async () => {
  const big = '9007199254740993';
  expect(
    await pointers([
      big,
      `{"a":[0,{"b/c~d":${big}}]}`,
      `[[],{},"${big}",[1,[${big}]]]`,
      `{"${big}":"${big}","x":9007199254740992}`,
      `${'['.repeat(200)}${big}${']'.repeat(200)}`,
    ]),
  ).toEqual(['', '/a/1/b~1c~0d', '/3/1/0', null, '/0'.repeat(32)]);
});

test('digits are compared whatever the session shows of a double', async () => {
  const { rows } = await client().query(
    `select execution_engine_inexact_number('{"id":12345678901234568}') as one,
            set_config('extra_float_digits', '-15', false) as setting,
            execution_engine_inexact_number('{"id":12345678901234568}') as other`,
  );
  expect(rows).toMatchObject([{ one: null, other: null }]);
});
