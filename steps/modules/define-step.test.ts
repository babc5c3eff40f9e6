/** `defineStep` at run time, and its types: a line with `@ts-expect-error` must be an error, every other one must not. */
import { expect, test } from 'bun:test';
import { stepContext } from '../../tests/support/step-context.ts';
import { defineStep, StepFailure, type StepType } from './define-step.ts';

const text = defineStep({
  type: 'text',
  summary: 'Repeats a text.',
  params: {
    type: 'object',
    additionalProperties: false,
    required: ['text', 'kind'],
    properties: {
      text: { type: 'string' },
      times: { type: 'integer', minimum: 1 },
      kind: { enum: ['plain', 'rich'] },
      to: {
        type: 'array',
        items: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
      },
      size: { anyOf: [{ type: 'number' }, { type: 'null' }] },
    },
  },
  routes: () => ['done'],
  run({ params }) {
    same<typeof params.text, string>(true);
    same<typeof params.times, number | undefined>(true);
    same<typeof params.kind, 'plain' | 'rich'>(true);
    same<(typeof params)['size'], number | null | undefined>(true);
    for (const { name } of params.to ?? []) same<typeof name, string>(true);
    // @ts-expect-error: text is no number
    same<typeof params.text, number>(true);
    // @ts-expect-error: times may be missing
    same<typeof params.times, number>(true);
    // @ts-expect-error: there is no parameter of that name
    params.txt;
    // @ts-expect-error: no such kind
    if (params.kind === 'loud') return null;
    return params.text.repeat(params.times ?? 1);
  },
});

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** An error of the compiler where the two types differ. */
function same<A, B>(_are: Same<A, B>): void {}

/** Never called: for the compiler. */
function types(): void {
  // @ts-expect-error: a step type has a name
  defineStep({ params: true, run: () => null });
  // @ts-expect-error: a step type has a schema of its parameters
  defineStep({ type: 'x', run: () => null });
  // @ts-expect-error: a step type has a handler
  defineStep({ type: 'x', params: true });
  // @ts-expect-error: only built-in types hold steps
  defineStep({ type: 'x', params: true, holds: [], run: () => null });
  defineStep({ type: 'x', params: true, run: ({ params }) => same<typeof params, unknown>(true) });
  const typed: StepType<{ text: string }> = defineStep({
    type: 'x',
    params: { type: 'object', required: ['text'], properties: { text: { type: 'string' } } },
    run: ({ params }) => params.text,
  });
  // @ts-expect-error: its parameters are of another type
  const other: StepType<{ text: number }> = typed;
  other.run(stepContext({ params: { text: 1 } }));
  new StepFailure('code', 'message', { retryable: true });
  // @ts-expect-error: retryable is a boolean
  new StepFailure('code', 'message', { retryable: 'yes' });
}

test('defineStep gives a step type with the schema of its parameters', () => {
  expect(types).toBeFunction();
  expect(text).toMatchObject({ type: 'text', summary: 'Repeats a text.' });
  expect(text.schema).toMatchObject({ required: ['text', 'kind'], additionalProperties: false });
  expect(text.routes?.({})).toEqual(['done']);
  expect(Object.keys(text).sort()).toEqual(['routes', 'run', 'schema', 'summary', 'type']);
  expect(text.run(stepContext({ params: { text: 'ab', times: 2, kind: 'plain' } }))).toBe('abab');
});
