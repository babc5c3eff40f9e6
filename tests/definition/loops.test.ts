/**
 * What is refused of `foreach` and `loop` when a definition is published.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../core/json/json.ts';
import { readSteps } from './reading.ts';

const steps = { one: { type: 'noop' } };

const REFUSED: [title: string, step: JsonObject, code: string, pointer: string][] = [
  ['without items', { type: 'foreach', with: { steps } }, 'invalid_params', '/steps/s/with/items'],
  [
    'over a text',
    { type: 'foreach', with: { items: 'abc', steps } },
    'invalid_params',
    '/steps/s/with/items',
  ],
  ['over -1', { type: 'foreach', with: { items: -1, steps } }, 'invalid_params', '/steps/s/with/items'],
  ['over null', { type: 'foreach', with: { items: null, steps } }, 'invalid_params', '/steps/s/with/items'],
  ['without steps', { type: 'foreach', with: { items: [], steps: {} } }, 'no_steps', '/steps/s/with/steps'],
  [
    'with more at a time than may be open',
    { type: 'foreach', with: { items: [], steps, concurrency: 1_001 } },
    'invalid_params',
    '/steps/s/with/concurrency',
  ],
  [
    'that tolerates failures and stops at the first',
    { type: 'foreach', with: { items: [], steps, tolerate: 3 } },
    'invalid_params',
    '/steps/s/with/tolerate',
  ],
  [
    'that tolerates 101 %',
    { type: 'foreach', with: { items: [], steps, onItemFailure: 'continue', tolerate: '101%' } },
    'invalid_params',
    '/steps/s/with/tolerate',
  ],
  [
    'with a reference to a step that is not there',
    { type: 'foreach', with: { items: [], steps, output: '${{ steps.two.output }}' } },
    'unknown_step_reference',
    '/steps/s/with/output',
  ],
  [
    'whose items name its item',
    { type: 'foreach', with: { items: '${{ [item] }}', steps } },
    'unknown_reference',
    '/steps/s/with/items',
  ],
  ['without a condition', { type: 'loop', with: { steps } }, 'invalid_params', '/steps/s/with'],
  [
    'with two conditions',
    { type: 'loop', with: { steps, while: true, until: true } },
    'invalid_params',
    '/steps/s/with',
  ],
  [
    'with a condition that is text',
    { type: 'loop', with: { steps, while: 'yes' } },
    'invalid_params',
    '/steps/s/with/while',
  ],
  [
    'whose condition reads its steps',
    { type: 'loop', with: { steps, until: '${{ steps.one.output }}' } },
    'unknown_step_reference',
    '/steps/s/with/until',
  ],
  [
    'whose condition has no such name',
    { type: 'loop', with: { steps, while: '${{ item > 1 }}' } },
    'unknown_reference',
    '/steps/s/with/while',
  ],
  [
    'with more iterations than there may be',
    { type: 'loop', with: { steps, while: true, maxIterations: 1_001 } },
    'invalid_params',
    '/steps/s/with/maxIterations',
  ],
  [
    'with an interval that is none',
    { type: 'loop', with: { steps, while: true, interval: 'soon' } },
    'invalid_params',
    '/steps/s/with/interval',
  ],
];

test.each(REFUSED)('a step %s is refused', (_, step, code, pointer) => {
  const { errors } = readSteps({ s: step });
  expect(errors.map((error) => [error.code, error.pointer])).toContainEqual([code, pointer]);
});

test.each([
  ['holds steps', { type: 'foreach', with: { items: [], steps } }],
  ['names a workflow for its items', { type: 'foreach', with: { items: [], workflow: 'w' } }],
  ['starts a child', { type: 'workflow', with: { name: 'w' } }],
])('a limit on a step that %s is warned of, with the parameter that is meant', (_, step) => {
  const { errors, warnings } = readSteps({ s: { ...step, concurrency: { key: 'k', limit: 1 } } });
  expect(errors).toEqual([]);
  expect(warnings.map(({ code, pointer }) => [code, pointer])).toEqual([
    ['concurrency_of_holder', '/steps/s/concurrency'],
  ]);
  expect(warnings[0]!.message).toContain('with.concurrency');
});
