/**
 * The calls that change executions by hand, or by other programs.
 */
import type { RetryServicePort } from '../../services/control/retry-answers.ts';
import type { BodyLimits } from '../body.ts';
import type { Router } from '../route.ts';
import { addRetryRoute } from './retry.ts';

export interface ControlPorts {
  readonly retries: RetryServicePort;
}

/** Mounts the calls. */
export function addControlRoutes(router: Router, { retries }: ControlPorts, limits: BodyLimits): void {
  addRetryRoute(router, retries, limits);
}
