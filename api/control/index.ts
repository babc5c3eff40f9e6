/**
 * The calls that change executions by hand, or by other programs.
 */
import type { PausePort } from '../../services/control/pause-answers.ts';
import type { RetryServicePort } from '../../services/control/retry-answers.ts';
import type { BodyLimits } from '../body.ts';
import type { Router } from '../route.ts';
import { addPauseRoutes } from './pause.ts';
import { addRetryRoute } from './retry.ts';

export interface ControlPorts {
  readonly retries: RetryServicePort;
  readonly pauses: PausePort;
}

/** Mounts the calls. */
export function addControlRoutes(
  router: Router,
  { retries, pauses }: ControlPorts,
  limits: BodyLimits,
): void {
  addRetryRoute(router, retries, limits);
  addPauseRoutes(router, pauses, limits);
}
