/**
 * Templates for starts with hostile inputs: from those that take any inputs to those whose schemas are checked beside
 * the event loop.
 */

const STEPS = {
  first: { type: 'transform', with: { value: '${{ input.a }}' } },
  second: { type: 'noop', needs: ['first'], when: '${{ !!input }}' },
};

/** The name of a template with nearly as many steps as a definition may have; it is started seldom. */
export const WIDE = 'wide';

/** Steps that all begin at once, need one step, or are needed by one. */
function wideSteps(): Record<string, unknown> {
  const count = 3_000;
  const roots = Array.from({ length: count }, (_, at) => [`r${at}`, { type: 'noop', with: {} }] as const);
  const middle = roots.map(
    ([key], at) => [`m${at}`, { type: 'noop', with: {}, needs: ['r0', key] }] as const,
  );
  const last = { type: 'noop', with: {}, needs: middle.map(([key]) => key) };
  return { ...Object.fromEntries([...roots, ...middle]), last };
}

const fields = (count: number) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, at) => [`k${at}`, { type: ['number', 'string'], minimum: 1 }]),
  );

export const TEMPLATES: readonly { readonly name: string; readonly [field: string]: unknown }[] = [
  { name: 'any', steps: STEPS, output: '${{ input }}' },
  {
    name: 'light',
    input: {
      type: 'object',
      required: ['a'],
      properties: { a: { type: 'integer' } },
      additionalProperties: false,
    },
    steps: STEPS,
  },
  {
    name: 'items',
    input: {
      items: { anyOf: [{ type: 'string', pattern: '^(a|b){1,20}$' }, { const: { a: 1 } }] },
      uniqueItems: true,
    },
    steps: STEPS,
  },
  { name: 'heavy', input: { type: 'object', properties: fields(400) }, steps: STEPS },
  {
    name: 'patterns',
    input: {
      items: {
        anyOf: Array.from({ length: 6 }, (_, at) => ({
          pattern: `^([a-z0-9]{1,100}${at}(x|y){0,50}){10}$`,
        })),
      },
      patternProperties: { '^(k\\d{1,3}|a){1,30}$': { type: 'string', pattern: '(a{30}){30}' } },
    },
    steps: STEPS,
  },
  {
    name: 'references',
    input: {
      $ref: '#/$defs/tree',
      $defs: {
        tree: {
          anyOf: [
            { type: 'integer' },
            { items: { $ref: '#/$defs/tree' } },
            { additionalProperties: { $ref: '#/$defs/tree' } },
          ],
        },
      },
    },
    steps: STEPS,
  },
  { name: 'regex', input: { items: { format: 'regex' } }, steps: STEPS },
  {
    name: 'sandboxed',
    steps: { first: { type: 'transform', with: { value: '${{ Object.keys(input).length }}' } } },
    output: '${{ JSON.stringify(input).length }}',
  },
  { name: WIDE, steps: wideSteps() },
];
