/**
 * What runs the attempts that are given slots.
 */
import type { Claim } from '../core/event.ts';
import type { Actor } from '../door/actor.ts';
import type { TemplateVersion } from '../template/version.ts';
import type { Attempt } from './attempt.ts';

export interface AttemptStarter {
  /** Whether this process can run all steps of a version, and one of them; others are left to others. */
  canRunAll(version: TemplateVersion): boolean;
  canRun(actor: Actor, position: number): boolean;
  /** Runs the attempt and calls `done` exactly once, when the slot is free. */
  start(
    actor: Actor,
    position: number,
    stepId: string,
    claim: Claim,
    done: (attempt: Attempt) => void,
  ): Attempt;
}
