/**
 * The event of a step that a fact stands for, under the claim that holds the step now.
 */
import type { Event } from '../../../core/event.ts';
import type { StepState } from '../../../core/view.ts';
import type { StepFact } from './facts.ts';

/** @param by the owner of a claim, and a number in [0, 1) for the jitter of a retry */
export function stepEvent(
  fact: StepFact,
  { slot, attempt, owner, sequence, retries }: StepState,
  by: { readonly owner: string; readonly random: number },
): Event {
  const at = { slot, claim: { attempt, owner: owner ?? '' } };
  const { random } = by;
  const answerTo = { type: 'answer', slot, attempt, sequence, id: 'answer', random } as const;
  switch (fact.fact) {
    case 'claimed':
      return { type: 'claim', slot, owner: by.owner };
    case 'completed':
      return { type: 'complete', ...at, output: { json: '1' }, routes: fact.routes };
    case 'failed': {
      const error = { code: 'boom', message: `${fact.key} failed`, details: null };
      const { retryable, begun } = fact;
      return { type: 'fail', ...at, error, retryable, begun, retryAfterMs: null, random };
    }
    case 'guarded':
      return { type: 'skip', ...at };
    case 'parked':
      return { type: 'park', ...at, forMs: 1000, state: null, timeoutMs: 5000, waitingFor: null };
    case 'resumed':
    case 'retry due':
      return { type: 'wake', slot, attempt, sequence, purpose: 'resume', random };
    case 'task claimed': {
      const task = { queue: 'queue', worker: 'worker', token: 'token', leaseMs: 1_000, isLimited: false };
      return { type: 'claim_task', slot, attempt, sequence, task };
    }
    case 'worker lost':
      return { type: 'return_task', slot, attempt, sequence, queue: 'queue', losses: fact.losses, random };
    case 'answered':
      return { ...answerTo, result: { output: { json: '1' } } };
    case 'refused': {
      const error = { code: 'refused', message: `${fact.key} was refused`, details: null };
      return { ...answerTo, result: { error, retryable: fact.retryable } };
    }
    case 'timed out':
      return { type: 'step_time_out', slot, retries, random };
    case 'released':
      return { type: 'release', ...at };
    case 'lost':
      return { type: 'rescue', ...at };
    case 'scopes failed':
    case 'scopes over':
    case 'scopes undone':
      throw new Error('a step fails so by the ends of its scopes');
  }
}
