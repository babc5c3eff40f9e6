/** The number of connections that an engine opens, and what to do when the database does not give it so many. */

/** Connections of each kind of which an engine has several. */
export const POOL_SIZES = { api: 10, work: 10, commits: 2, queue: 2 } as const;
/** One each to listen, for the heartbeat, for the lease, to watch another engine, and for the retention. */
const SINGLE_CONNECTIONS = 5;
/** As docs/operations.md lists them. */
export const MAX_CONNECTIONS = Object.values(POOL_SIZES).reduce(
  (sum, size) => sum + size,
  SINGLE_CONNECTIONS,
);

const TOO_MANY_CONNECTIONS = '53300';

const ADVICE =
  `one process of the engine opens up to ${MAX_CONNECTIONS} connections; raise the limit that is reached: of the role ` +
  '(alter role ... connection limit), of the database (alter database ... connection limit) or of the server ' +
  '(max_connections)';

/** Returns the message of an error, with advice when the database gives no more connections. */
export function connectionFailure(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const text = error instanceof Error ? String(message) : String(error);
  return code === TOO_MANY_CONNECTIONS ? `${text}: ${ADVICE}` : text;
}

/** Returns the error itself, or one with this advice. */
export function withConnectionAdvice(error: unknown): unknown {
  const { code } = (error ?? {}) as { code?: unknown };
  if (code !== TOO_MANY_CONNECTIONS) return error;
  return Object.assign(new Error(connectionFailure(error), { cause: error }), { code });
}
