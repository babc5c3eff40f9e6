/**
 * The settings of the engine in every measurement.
 *
 * The steps of the benchmarks cost hardly anything, and for such steps the documentation recommends a high concurrency:
 * a step holds capacity until its commit is done. The environment takes precedence.
 */
const RECOMMENDED = '1000';

export const ENGINE_CONCURRENCY = process.env.EXECUTION_ENGINE_CONCURRENCY || RECOMMENDED;

/** Environment of a measured engine. @param more wins over both */
export function engineEnv(databaseUrl: string, more: Readonly<Record<string, string>> = {}) {
  return {
    DATABASE_URL: databaseUrl,
    EXECUTION_ENGINE_PORT: '0',
    EXECUTION_ENGINE_CONCURRENCY: ENGINE_CONCURRENCY,
    ...more,
  };
}

/** The description beside the figures. */
export function describeSettings(concurrency: number): string {
  const why =
    String(concurrency) === RECOMMENDED ? ' (what its documentation recommends for cheap steps)' : '';
  return `EXECUTION_ENGINE_CONCURRENCY=${concurrency}${why}, the rest default`;
}
