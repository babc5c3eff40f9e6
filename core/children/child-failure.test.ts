/**
 * The text of a failed child: however deep the children are, it has the way to the cause, and the cause itself.
 */
import { expect, test } from 'bun:test';
import type { ExecutionEnd } from '../plan.ts';
import { childFailure, innermostCause } from './child-failure.ts';

/** The failures of the steps that started each of the children, from the innermost up. */
function failuresOf(ids: readonly string[], cause: ExecutionEnd) {
  const failures: { code: string; message: string }[] = [];
  for (let end = cause; failures.length < ids.length; ) {
    const { code, message } = childFailure(ids[failures.length]!, end)!.error;
    failures.push({ code, message });
    end = { status: 'failed', error: { code, message, step: 'calls' } };
  }
  return failures;
}

const CAUSE: ExecutionEnd = {
  status: 'failed',
  error: { code: 'no_stock', message: 'There is none: of any', step: 'pay' },
};

test.each([
  [1, 'The child execution c1 has failed: There is none: of any'],
  [2, 'The child execution c2 has failed, through c1: There is none: of any'],
  [5, 'The child execution c5 has failed, through c4 > c3 > c2 > c1: There is none: of any'],
  [16, 'The child execution c16 has failed, through c15 > c14 > … > c2 > c1: There is none: of any'],
])('%p levels deep it is a line', (depth, message) => {
  const ids = Array.from({ length: depth }, (_, at) => `c${at + 1}`);
  const last = failuresOf(ids, CAUSE).at(-1)!;
  expect(last).toEqual({ code: 'child_failed', message });
  expect(innermostCause(last)).toBe('There is none: of any');
});

test('a child that was cancelled or timed out says so, and a message that only looks like one of a child stays whole', () => {
  const [, timed] = failuresOf(['a', 'b'], { status: 'timed_out', error: null });
  expect(timed!.message).toBe('The child execution b has failed: The child execution a has timed out');
  const text = 'The child execution x has failed: no';
  const error = { code: 'odd', message: text, step: null };
  expect(childFailure('a', { status: 'failed', error })!.error.message).toBe(
    `The child execution a has failed: ${text}`,
  );
  expect(innermostCause(error)).toBe(text);
});
