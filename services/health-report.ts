/**
 * The health of an engine, as the API tells of it.
 */
export interface HealthReport {
  status: 'ok' | 'unavailable';
  checks: Record<string, { status: 'ok' | 'fail'; message?: string }>;
  /** What does not keep the engine from serving and should be mended all the same; one sentence each. */
  warnings?: string[];
}
