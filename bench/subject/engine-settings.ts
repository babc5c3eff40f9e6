/**
 * How the engine is set wherever it is measured: the one place.
 *
 * The steps of the benchmarks cost next to nothing, and for such the documentation recommends many slots: a slot
 * is held until its commit is through. What the environment says wins.
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

/** What to say of it beside the figures. */
export function describeSettings(concurrency: number): string {
  const why =
    String(concurrency) === RECOMMENDED ? ' (what its documentation recommends for cheap steps)' : '';
  return `EXECUTION_ENGINE_CONCURRENCY=${concurrency}${why}, the rest default`;
}
