/**
 * The features of the database that the engine would use, defined only here. They follow from `DATABASE_BACKEND`
 * alone and are decided once, when the engine starts.
 *
 * Portable mode is every backend but `postgres`: the common subset of CockroachDB, YugabyteDB and Citus, so that
 * there is one such mode to test and not three. A statement that needs a feature has its portable variant beside it.
 *
 * The lifetime of sessions depends on the connection, not on the database: see `DatabaseRoute`.
 */

/** Names as in pg-boss. */
export const BACKENDS = ['postgres', 'citus', 'cockroachdb', 'yugabytedb'] as const;
export type Backend = (typeof BACKENDS)[number];

export interface DatabaseFeatures {
  /** SELECT can skip locked rows. */
  readonly skipLocked: boolean;
  /** Locks of sessions and of transactions. Without them only the heartbeat shows that an engine is alive. */
  readonly advisoryLocks: boolean;
  /** LISTEN and NOTIFY. Without them the work of another engine is noticed within a second. */
  readonly listen: boolean;
  /** One statement may change several tables. */
  readonly multiMutationCtes: boolean;
  /** READ COMMITTED is available. Otherwise the isolation is the database's, and serialization failures are normal. */
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

/** A route to the database, and the kind of its connections. */
export interface DatabaseWay {
  readonly url: string;
  readonly session: {
    /** A pooler in between lends a server session for one transaction at a time. */
    readonly pooled: boolean;
    /** The isolation is the database's. */
    readonly portable: boolean;
  };
}

/** All routes to the database. */
export interface DatabaseRoute {
  readonly backend: Backend;
  readonly features: DatabaseFeatures;
  /** Route for transactions. */
  readonly work: DatabaseWay;
  /** Route for long work, which is better done past a pooler. */
  readonly long: DatabaseWay;
  /** URL at which a session lasts as long as its connection; null: none. */
  readonly sessionUrl: string | null;
}

/** @param directUrl URL past the pooler; null: none, or no pooler */
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
