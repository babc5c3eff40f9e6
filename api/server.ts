/**
 * The server: serves an application on one address until it is told to stop.
 *
 * Not here: the application, the decision to stop, and the socket itself.
 *
 * Invariant 1: only the grace time cuts a request short: a long poll may last as long as its client asked for.
 * Invariant 2: the body limit is the application's, which answers 413 in its own words; the server sets none.
 */
import type { Address, Listen, Servable, Socket } from './socket.ts';

export interface RunningServer {
  /** Without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Takes no more connections, lets requests end for graceMs milliseconds, then closes the rest. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Starts serving. Throws an Error that names the address when it cannot be bound.
 * @param listen default: the one of the runtime
 */
export async function serve(app: Servable, address: Address, listen?: Listen): Promise<RunningServer> {
  const draining = new AbortController();
  const socket = await bind(app, address, draining.signal, listen ?? (await listenHere()));
  const { host } = address;
  const { port } = socket;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    stop: (graceMs) => stop(socket, draining, graceMs),
  };
}

async function listenHere(): Promise<Listen> {
  return process.versions.bun === undefined
    ? (await import('./node-socket.ts')).listenOnNode
    : (await import('./bun-socket.ts')).listenOnBun;
}

async function bind(app: Servable, address: Address, draining: AbortSignal, listen: Listen): Promise<Socket> {
  try {
    return await listen(app, address, draining);
  } catch (cause) {
    const reason =
      (cause as { code?: string }).code === 'EADDRINUSE' ? 'another process uses it' : String(cause);
    throw new Error(
      `Cannot serve on ${address.host} port ${address.port}: ${reason}. EXECUTION_ENGINE_HOST and EXECUTION_ENGINE_PORT choose another.`,
      { cause },
    );
  }
}

async function stop(socket: Socket, draining: AbortController, graceMs: number): Promise<void> {
  draining.abort(new DOMException('The server is stopping.', 'AbortError'));
  const ended = socket.close();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, graceMs);
  });
  await Promise.race([ended, patience]);
  clearTimeout(timer);
  await socket.destroy();
}
