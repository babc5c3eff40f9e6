/**
 * The socket on Bun, by its own server.
 */
import { type Address, answerUnreadable, type Servable, type Socket } from './socket.ts';

export function listenOnBun(app: Servable, { host, port }: Address, draining: AbortSignal): Socket {
  const server = Bun.serve({
    hostname: host,
    port,
    idleTimeout: 0,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch(request, bun) {
      const connection = { remoteAddress: bun.requestIP(request)?.address, draining };
      // A Host header that is no host leaves a request without an address of its own.
      return URL.canParse(request.url) ? app.fetch(request, connection) : answerUnreadable(app, connection);
    },
  });
  return {
    port: server.port ?? port,
    close: () => server.stop(),
    destroy: () => server.stop(true),
  };
}
