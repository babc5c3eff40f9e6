/**
 * Creates the services that change executions by hand.
 */
import { Rehearsal, type RehearsalOptions } from '../door/control/rehearsal.ts';
import { PauseService } from '../services/control/pause-service.ts';
import { RetryService, type RetryServiceOptions } from '../services/control/retry-service.ts';
import type { Database } from './database.ts';
import type { StepParts } from './steps.ts';

export interface ControlParts {
  readonly database: Database;
  readonly steps: StepParts;
  readonly worker: { readonly door: RetryServiceOptions['door'] } & Pick<RehearsalOptions, 'committer'>;
}

export function createControlServices({ database, steps, worker }: ControlParts) {
  const { apiPool: pool } = database;
  const { store, versions } = steps;
  const { door, committer } = worker;
  const rehearsal = new Rehearsal({ pool, committer, versions });
  return {
    retries: new RetryService({ pool, door, rehearsal, store }),
    pauses: new PauseService({ pool, door }),
  };
}
