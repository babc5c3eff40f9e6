import { expect, test } from 'bun:test';
import type { FetchedJob } from '../../queue/execution-engine-queue.ts';
import { namesOf } from './round.ts';

const job = (data: FetchedJob['data']): FetchedJob => ({
  queue: 'StepExecutionQueue',
  id: 'j',
  data,
  retryCount: 0,
  priority: 0,
});

test.each<[FetchedJob['data'], Record<string, unknown>]>([
  [
    { kind: 'step', execution_id: 'e', step_id: 's' },
    { kind: 'step', execution: 'e', step_id: 's' },
  ],
  [
    { kind: 'callback', execution_id: 'e', attempt: 3 },
    { kind: 'callback', execution: 'e' },
  ],
  [{ kind: 'unknown', stored: { anything: 'that somebody wrote' } }, { kind: 'unknown' }],
])(
  'a line of the log names the execution and step of the job %p, and shows nothing else of it',
  (data, named) => {
    expect(namesOf(job(data))).toEqual({ queue: 'StepExecutionQueue', job: 'j', ...named });
  },
);
