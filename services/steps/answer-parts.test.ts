import { expect, test } from 'bun:test';
import type { StepDetail } from '../../db/execution-queries.ts';
import { stepError } from './answer-parts.ts';

const step = (errorCode: string | null, errorDetails: string | null) =>
  ({ errorCode, error: 'It "failed".', errorDetails }) as StepDetail;

test('the error of a step is JSON, whose details are passed on as they are stored', () => {
  expect(JSON.parse(stepError(step('mine', '{"at":[1]}')))).toEqual({
    code: 'mine',
    message: 'It "failed".',
    details: { at: [1] },
  });
  expect(stepError(step('mine', '{"exact": 12345678901234567890}'))).toContain(
    '{"exact": 12345678901234567890}',
  );
  expect(JSON.parse(stepError(step('mine', null))).details).toBeNull();
  expect(stepError(step(null, null))).toBe('null');
});
