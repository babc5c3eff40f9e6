/**
 * Creates the services that change executions by hand.
 */
import { Rehearsal, type RehearsalOptions } from '../door/control/rehearsal.ts';
import { type BulkOptions, BulkService } from '../services/control/bulk.ts';
import { IncidentService } from '../services/control/incidents.ts';
import { PauseService } from '../services/control/pause-service.ts';
import { RetryService, type RetryServiceOptions } from '../services/control/retry-service.ts';
import type { Database } from './database.ts';
import type { StepParts } from './steps.ts';

export interface ControlParts {
  readonly database: Database;
  readonly steps: StepParts;
  readonly worker: { readonly door: RetryServiceOptions['door'] } & Pick<RehearsalOptions, 'committer'>;
}

/** Decides without writing, for the services that change something by hand. */
export function createRehearsal({ database, steps, worker }: ControlParts): Rehearsal {
  const { committer } = worker;
  return new Rehearsal({ pool: database.apiPool, committer, versions: steps.versions });
}

export function createControlServices(
  { database, steps, worker }: ControlParts,
  rehearsal: Rehearsal,
  executions: BulkOptions['executions'],
) {
  const { apiPool: pool } = database;
  const { door } = worker;
  const retries = new RetryService({ pool, door, rehearsal, store: steps.store });
  const pauses = new PauseService({ pool, door, rehearsal });
  return {
    retries,
    pauses,
    bulk: new BulkService({ executions, retries, pauses }),
    incidents: new IncidentService({ pool, door, versions: steps.versions }),
  };
}
