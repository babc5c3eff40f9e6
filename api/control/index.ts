/**
 * The calls that change executions by hand, or by other programs.
 */
import type { BulkPort } from '../../services/control/bulk-answers.ts';
import type { IncidentPort } from '../../services/control/incident-answers.ts';
import type { DryRunPort, PausePort } from '../../services/control/pause-answers.ts';
import type { RetryServicePort } from '../../services/control/retry-answers.ts';
import type { BodyLimits } from '../body.ts';
import type { Router } from '../route.ts';
import { addBulkRoutes } from './bulk.ts';
import { addIncidentRoutes } from './incidents.ts';
import { addPauseRoutes } from './pause.ts';
import { addRetryRoute } from './retry.ts';

export interface ControlPorts {
  readonly retries: RetryServicePort;
  readonly pauses: PausePort & DryRunPort;
  readonly bulk: BulkPort;
  readonly incidents: IncidentPort;
}

/** Mounts the calls. */
export function addControlRoutes(
  router: Router,
  { retries, pauses, bulk, incidents }: ControlPorts,
  limits: BodyLimits,
): void {
  addRetryRoute(router, retries, limits);
  addPauseRoutes(router, pauses, limits);
  addBulkRoutes(router, bulk, limits);
  addIncidentRoutes(router, incidents, limits);
}
