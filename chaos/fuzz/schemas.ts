/**
 * JSON Schemas that are hard to compile, or that make a check long: wide unions, large patterns, references that
 * multiply.
 */
import type { Chance } from '../chance.ts';

type Schema = Record<string, unknown>;

const PATTERNS = [
  '[a-z0-9]{1,100}#(x|y){0,50}',
  '(a{30}){30}#',
  '\\p{L}{1,1000}#',
  '(#|a|b|cc){0,900}',
  '^(a+)+$#',
  '(?=a)#',
  '((((#))))*',
  '[^#]{1000}',
  'a{5000}#',
  '(x{1,10}#){1,100}',
];

function pattern(draw: Chance, at: number): string {
  return draw
    .pick(PATTERNS)
    .replace('#', String(at))
    .repeat(1 + draw.below(draw.happens(0.3) ? 20 : 3));
}

const list = <T>(length: number, make: (at: number) => T): T[] => Array.from({ length }, (_, at) => make(at));

const KINDS: readonly ((draw: Chance, count: number) => Schema)[] = [
  (draw, count) => ({ anyOf: list(count, (at) => ({ pattern: pattern(draw, at) })) }),
  (draw, count) => ({
    patternProperties: Object.fromEntries(list(count, (at) => [pattern(draw, at), { type: 'string' }])),
  }),
  (draw, count) => ({
    [draw.pick(['anyOf', 'oneOf', 'allOf'])]: list(count, (at) => ({
      required: [`r${at}`],
      properties: { [`p${at}`]: {} },
    })),
  }),
  (_draw, count) => ({ enum: list(count, (at) => ({ at, list: [at, 'x'] })) }),
  (_draw, count) => ({
    properties: Object.fromEntries(
      list(count, (at) => [`p${at}`, { type: 'string', minLength: 1, format: 'email' }]),
    ),
    additionalProperties: false,
  }),
  // Each refers twice to the next.
  (_draw, count) => ({
    $ref: '#/$defs/d0',
    $defs: Object.fromEntries(
      list(Math.min(count, 60), (at) => [
        `d${at}`,
        at < Math.min(count, 60) - 1
          ? { allOf: [{ $ref: `#/$defs/d${at + 1}` }, { $ref: `#/$defs/d${at + 1}` }] }
          : { type: 'object' },
      ]),
    ),
  }),
  (_draw, count) => {
    let schema: Schema = { type: 'string' };
    for (let level = 0; level < Math.min(count, 600); level += 1) schema = { items: schema, minItems: level };
    return schema;
  },
  (_draw, count) => ({
    items: { format: 'regex' },
    uniqueItems: true,
    contains: { const: list(count, (at) => at) },
  }),
  (_draw, count) => ({
    $ref: '#',
    unevaluatedProperties: false,
    dependentSchemas: { a: { required: list(count, (at) => `r${at}`) } },
  }),
  (draw) => ({ type: draw.pick(['strnig', 5, [], null]), pattern: draw.pick(['(', '[', '**', '\\']) }),
];

export function hostileSchema(draw: Chance, most: number): Schema {
  return draw.pick(KINDS)(draw, 1 + draw.below(most));
}
