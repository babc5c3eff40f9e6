/**
 * The socket: serves an application on one address until it is told to stop.
 *
 * Not here: what is served, and when to stop.
 *
 * Invariant 1: nothing is cut short but by the grace time: a long poll may last as long as its client asked for.
 * Invariant 2: the body limit is the application's, which answers 413 in its own words; the server sets none.
 */
import type { Server } from 'bun';
import type { Connection } from './context.ts';

/** What can be served: a Hono application, or anything of its shape. */
export interface Servable {
  fetch(request: Request, connection: Connection): Response | Promise<Response>;
}

export interface ServeOptions {
  host: string;
  /** 0: any free port. */
  port: number;
}

export interface RunningServer {
  /** Without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Takes no more connections, lets requests end for graceMs milliseconds, then closes what is left. */
  stop(graceMs: number): Promise<void>;
}

/** Starts serving. Throws an Error that names the address when it cannot be bound. */
export async function serve(app: Servable, options: ServeOptions): Promise<RunningServer> {
  const draining = new AbortController();
  const server = listen(app, options, draining.signal);
  const port = server.port ?? options.port;
  return {
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    port,
    stop: (graceMs) => stop(server, draining, graceMs),
  };
}

function listen(app: Servable, { host, port }: ServeOptions, draining: AbortSignal): Server<undefined> {
  try {
    return Bun.serve({
      hostname: host,
      port,
      idleTimeout: 0,
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      fetch(request, bun) {
        // A Host header that is no host leaves a request without an address of its own.
        if (!URL.canParse(request.url)) return new Response('Bad Host header\n', { status: 400 });
        return app.fetch(request, { remoteAddress: bun.requestIP(request)?.address, draining });
      },
    });
  } catch (cause) {
    const reason =
      (cause as { code?: string }).code === 'EADDRINUSE' ? 'another process uses it' : String(cause);
    throw new Error(
      `Cannot serve on ${host} port ${port}: ${reason}. EXECUTION_ENGINE_HOST and EXECUTION_ENGINE_PORT choose another.`,
      { cause },
    );
  }
}

async function stop(server: Server<undefined>, draining: AbortController, graceMs: number): Promise<void> {
  draining.abort(new DOMException('The server is stopping.', 'AbortError'));
  const ended = server.stop();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, graceMs);
  });
  await Promise.race([ended, patience]);
  clearTimeout(timer);
  await server.stop(true);
}
