/**
 * Runs the attempts for which there is capacity.
 */
import type { Claim } from '../core/event.ts';
import type { ReservedStep } from '../door/capacity.ts';
import type { TemplateVersion } from '../template/version.ts';
import type { Attempt } from './attempt.ts';

export interface AttemptStarter {
  /** Returns whether this process can run all steps of a version, or one step; the rest is left to other engines. */
  canRunAll(version: TemplateVersion): boolean;
  canRun(step: ReservedStep): boolean;
  /** Runs the attempt and calls `done` exactly once, when its capacity is free. */
  start(step: ReservedStep, stepId: string, claim: Claim, done: (attempt: Attempt) => void): Attempt;
}
