/**
 * One connection that LISTENs and makes itself anew when it breaks.
 *
 * A notification is a hint, never the only trace of work: what was sent while the connection was down is
 * lost, so `onReconnect` is where a caller looks for itself. A connection that died silently (no FIN, no RST)
 * is found by a heartbeat on it.
 */
import pg from 'pg';
import { connectionConfig, prepareSession, type SessionOptions } from './session.ts';

export interface ListenOptions extends Partial<SessionOptions> {
  /** Between two heartbeats, in milliseconds; an answer has half of it. Default 10 s. */
  heartbeatMs?: number;
  /** Longest pause between two attempts to connect. Default 5 s. */
  maxBackoffMs?: number;
  /** Told why the connection was lost or could not be made, once per attempt. */
  onError?: (error: Error) => void;
  /** 0 to 1, for the jitter. Default Math.random. */
  random?: () => number;
}

export interface Listener {
  /** Resolves when the channels are listened to for the first time, or the listener was closed before. */
  readonly ready: Promise<void>;
  /** Stops at once; no callback is called after it. */
  close(): Promise<void>;
}

const FIRST_BACKOFF_MS = 100;

/**
 * Listens until closed. `onNotify` gets the channel and the payload ('' when there was none);
 * `onReconnect` is called after each time the connection was lost and the channels are listened to again.
 */
export function listen(
  url: string,
  channels: readonly string[],
  onNotify: (channel: string, payload: string) => void,
  onReconnect: () => void = () => {},
  options: ListenOptions = {},
): Listener {
  const closed = new AbortController();
  const ready = Promise.withResolvers<void>();
  const run = async () => {
    let connections = 0;
    for (let failures = 0; !closed.signal.aborted; failures += 1) {
      const established = () => {
        failures = 0;
        connections += 1;
        if (connections === 1) ready.resolve();
        else onReconnect();
      };
      await listenOnce(url, channels, onNotify, established, options, closed.signal).catch((error: Error) => {
        if (!closed.signal.aborted) options.onError?.(error);
      });
      await pause(backoffMs(failures, options), closed.signal);
    }
    ready.resolve();
  };
  const ended = run();
  return {
    ready: ready.promise,
    close: () => {
      closed.abort();
      return ended;
    },
  };
}

/** Full jitter over an exponential ceiling: a restarted server is not met by everyone at once. */
function backoffMs(failures: number, options: ListenOptions): number {
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

/** Connects, listens, and returns only when closed; throws when the connection is lost. */
async function listenOnce(
  url: string,
  channels: readonly string[],
  onNotify: (channel: string, payload: string) => void,
  established: () => void,
  options: ListenOptions,
  closed: AbortSignal,
): Promise<void> {
  const session = { ...options, applicationName: options.applicationName ?? 'engine/listen' };
  const client = new pg.Client(connectionConfig(url, session));
  const lost = Promise.withResolvers<void>();
  lost.promise.catch(() => {});
  client.on('error', lost.reject);
  client.on('end', () => lost.reject(new Error('Connection terminated')));
  client.on('notification', ({ channel, payload }) => {
    if (!closed.aborted) onNotify(channel, payload ?? '');
  });
  const stop = () => lost.resolve();
  closed.addEventListener('abort', stop, { once: true });
  let heartbeat: ReturnType<typeof setInterval> | undefined;
  try {
    await Promise.race([openChannels(client, channels, session), lost.promise]);
    if (closed.aborted) return;
    established();
    heartbeat = startHeartbeat(client, options.heartbeatMs ?? 10_000, lost.reject);
    await lost.promise;
  } finally {
    closed.removeEventListener('abort', stop);
    clearInterval(heartbeat);
    // Not end(): a peer that fell silent would never answer a polite goodbye.
    client.connection.stream.destroy();
  }
}

async function openChannels(
  client: pg.Client,
  channels: readonly string[],
  session: SessionOptions,
): Promise<void> {
  await client.connect();
  await prepareSession(client, session);
  for (const channel of channels) await client.query(`listen ${client.escapeIdentifier(channel)}`);
}

function startHeartbeat(client: pg.Client, everyMs: number, fail: (error: Error) => void) {
  return setInterval(() => {
    const query = { text: 'select 1', query_timeout: everyMs / 2 };
    client.query(query).catch(fail);
  }, everyMs);
}
