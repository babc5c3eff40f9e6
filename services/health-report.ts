/**
 * The health of an engine, as the API reports it.
 */
export interface HealthReport {
  status: 'ok' | 'unavailable';
  checks: Record<string, { status: 'ok' | 'fail'; message?: string }>;
  /** Problems that should be fixed although the engine can serve; one sentence each. */
  warnings?: string[];
}
