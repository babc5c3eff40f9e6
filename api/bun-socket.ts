/**
 * The socket on Bun, by its own server.
 */
import { type Address, answerUnreadable, HEAD_MS, type Servable, type Socket } from './socket.ts';

export function listenOnBun(
  app: Servable,
  { host, port }: Address,
  draining: AbortSignal,
  headMs = HEAD_MS,
): Socket {
  const server = Bun.serve({
    hostname: host,
    port,
    // Of a connection without a request so far: bytes of a head do not count as a sign of life.
    idleTimeout: Math.ceil(headMs / 1_000),
    // No pages with stacks for errors. Bun then takes it that processes share a port, unless it is told otherwise.
    development: false,
    reusePort: false,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch(request, bun) {
      // From its first request on a connection stays open as long as its client wants: a proxy must not send into one
      // that closes that moment.
      bun.timeout(request, 0);
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
