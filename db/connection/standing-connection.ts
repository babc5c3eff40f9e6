/**
 * One connection that lasts as long as its process, and reconnects when it breaks.
 *
 * A connection that died silently (no FIN, no RST) is detected by a heartbeat.
 */
import pg from 'pg';
import { connectionConfig, prepareSession, type SessionOptions } from './session.ts';

export interface StandingOptions extends Partial<SessionOptions> {
  /** Milliseconds between two heartbeats; an answer must come within half of it. Default 10 s. */
  heartbeatMs?: number;
  /** Longest pause between two attempts to connect. Default 5 s. */
  maxBackoffMs?: number;
  /** Called with the reason when the connection was lost or could not be made, once per attempt. */
  onError?: (error: Error) => void;
  /** 0 to 1, for the jitter. Default Math.random. */
  random?: () => number;
}

export interface StandingConnection {
  /** Resolves when the connection is open for the first time, or was closed before that. */
  readonly ready: Promise<void>;
  /** Whether the connection is open, as far as the client knows. */
  readonly isOpen: boolean;
  /** Stops at once. */
  close(): Promise<void>;
}

const FIRST_BACKOFF_MS = 100;

/**
 * Connects, and reconnects whenever the connection is lost, until closed. `open` prepares a fresh connection;
 * `onReconnect` is called each time except the first.
 */
export function keepConnection(
  url: string,
  open: (client: pg.Client) => Promise<void>,
  options: StandingOptions = {},
  onReconnect: () => void = () => {},
): StandingConnection {
  const closed = new AbortController();
  const ready = Promise.withResolvers<void>();
  let isOpen = false;
  const run = async () => {
    let connections = 0;
    for (let failures = 0; !closed.signal.aborted; failures += 1) {
      const established = () => {
        failures = 0;
        isOpen = true;
        connections += 1;
        if (connections === 1) ready.resolve();
        else onReconnect();
      };
      await connectOnce(url, open, established, options, closed.signal).catch((error: Error) => {
        if (!closed.signal.aborted) options.onError?.(error);
      });
      isOpen = false;
      await pause(backoffMs(failures, options), closed.signal);
    }
    ready.resolve();
  };
  const ended = run();
  return {
    ready: ready.promise,
    get isOpen() {
      return isOpen;
    },
    close: () => {
      closed.abort();
      return ended;
    },
  };
}

/** Full jitter over an exponential ceiling, so that not all clients reach a restarted server at once. */
function backoffMs(failures: number, options: StandingOptions): number {
  const ceiling = Math.min(options.maxBackoffMs ?? 5_000, FIRST_BACKOFF_MS * 2 ** Math.min(failures, 16));
  return (options.random ?? Math.random)() * ceiling;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) return Promise.resolve();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener(
    'abort',
    () => {
      clearTimeout(timer);
      resolve();
    },
    { once: true },
  );
  return promise;
}

/** Connects, opens, and returns only when closed; throws when the connection is lost. */
async function connectOnce(
  url: string,
  open: (client: pg.Client) => Promise<void>,
  established: () => void,
  options: StandingOptions,
  closed: AbortSignal,
): Promise<void> {
  const session = { ...options, applicationName: options.applicationName ?? 'engine/standing' };
  const client = new pg.Client(connectionConfig(url, session));
  const lost = Promise.withResolvers<void>();
  lost.promise.catch(() => {});
  client.on('error', lost.reject);
  client.on('end', () => lost.reject(new Error('Connection terminated')));
  const stop = () => lost.resolve();
  closed.addEventListener('abort', stop, { once: true });
  let heartbeat: ReturnType<typeof setInterval> | undefined;
  try {
    await Promise.race([connect(client, open, session), lost.promise]);
    if (closed.aborted) return;
    established();
    heartbeat = startHeartbeat(client, options.heartbeatMs ?? 10_000, lost.reject);
    await lost.promise;
  } finally {
    closed.removeEventListener('abort', stop);
    clearInterval(heartbeat);
    // Not end(): a silent peer would never answer it.
    client.connection.stream.destroy();
  }
}

async function connect(
  client: pg.Client,
  open: (client: pg.Client) => Promise<void>,
  session: SessionOptions,
): Promise<void> {
  await client.connect();
  await prepareSession(client, session);
  await open(client);
}

function startHeartbeat(client: pg.Client, everyMs: number, fail: (error: Error) => void) {
  return setInterval(() => {
    const query = { text: 'select 1', query_timeout: everyMs / 2 };
    client.query(query).catch(fail);
  }, everyMs);
}
