/**
 * What the database offers, as far as the engine would use it: the one place that says so. It follows from
 * `DATABASE_BACKEND` alone and is decided once, when the engine starts.
 *
 * Portable mode is everything but `postgres`: the least that CockroachDB, YugabyteDB and Citus have in common, so
 * that there is one such mode to test and not three. A statement that needs a feature has its portable variant
 * beside it.
 *
 * Whether a session lasts is no feature of the database but of the way to it: see `DatabaseRoute`.
 */

/** As pg-boss names them. */
export const BACKENDS = ['postgres', 'citus', 'cockroachdb', 'yugabytedb'] as const;
export type Backend = (typeof BACKENDS)[number];

export interface DatabaseFeatures {
  /** Rows that somebody has locked can be passed over. */
  readonly skipLocked: boolean;
  /** Of sessions and of transactions. Without them an engine is known to be alive by its heartbeat alone. */
  readonly advisoryLocks: boolean;
  /** LISTEN and NOTIFY. Without them what another engine did is found within a second. */
  readonly listen: boolean;
  /** One statement may change several tables. */
  readonly multiMutationCtes: boolean;
  /** READ COMMITTED is to be had. Otherwise the isolation is the database's, and failures to serialize are normal. */
  readonly readCommitted: boolean;
}

const ALL: DatabaseFeatures = {
  skipLocked: true,
  advisoryLocks: true,
  listen: true,
  multiMutationCtes: true,
  readCommitted: true,
};
const PORTABLE: DatabaseFeatures = {
  skipLocked: false,
  advisoryLocks: false,
  listen: false,
  multiMutationCtes: false,
  readCommitted: false,
};

export function featuresOf(backend: Backend): DatabaseFeatures {
  return backend === 'postgres' ? ALL : PORTABLE;
}

/** One way to the database, and what its connections are like. */
export interface DatabaseWay {
  readonly url: string;
  readonly session: {
    /** A pooler lends a session of the server for one transaction at a time. */
    readonly pooled: boolean;
    /** The isolation is the database's. */
    readonly portable: boolean;
  };
}

/** How the database is reached. */
export interface DatabaseRoute {
  readonly backend: Backend;
  readonly features: DatabaseFeatures;
  /** For transactions. */
  readonly work: DatabaseWay;
  /** For what takes long, and is better done past a pooler. */
  readonly long: DatabaseWay;
  /** Where a session lasts as long as its connection; null: nowhere. */
  readonly sessionUrl: string | null;
}

/** @param directUrl past the pooler; null: there is none, or no pooler */
export function routeTo(
  url: string,
  { backend = 'postgres', isPooled = false, directUrl = null }: Partial<RouteOptions> = {},
): DatabaseRoute {
  const features = featuresOf(backend);
  const portable = !features.readCommitted;
  const sessionUrl = directUrl ?? (isPooled ? null : url);
  const work = { url, session: { pooled: isPooled, portable } };
  const long = sessionUrl === null ? work : { url: sessionUrl, session: { pooled: false, portable } };
  return { backend, features, work, long, sessionUrl };
}

export interface RouteOptions {
  readonly backend: Backend;
  readonly isPooled: boolean;
  readonly directUrl: string | null;
}
