/**
 * The socket on Bun, by its own server.
 */
import type { Address, Servable, Socket } from './socket.ts';

export function listenOnBun(app: Servable, { host, port }: Address, draining: AbortSignal): Socket {
  const server = Bun.serve({
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
  return {
    port: server.port ?? port,
    close: () => server.stop(),
    destroy: () => server.stop(true),
  };
}
