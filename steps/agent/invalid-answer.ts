/**
 * The failure for an answer of a language model that is none. Another try may bring a better one.
 */
import type { Json } from '../../core/json/json.ts';
import { StepFailure } from '../step-type.ts';

export function invalidAnswer(message: string, details: Json): StepFailure {
  return new StepFailure('invalid_answer', message, { retryable: true, details });
}
