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
  const headSeconds = Math.ceil(headMs / 1_000);
  const server = Bun.serve({
    hostname: host,
    port,
    // For a connection without a request so far: bytes of a head do not count as activity.
    idleTimeout: headSeconds,
    // No pages with stacks for errors. In this mode Bun lets processes share a port, unless it is told otherwise.
    development: false,
    reusePort: false,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch(request, bun) {
      // From its first request on a connection stays open as long as its client wants: a proxy must not send into one
      // that closes that moment.
      bun.timeout(request, 0);
      const connection = { remoteAddress: bun.requestIP(request)?.address, draining };
      // With an invalid Host header a request has no usable URL; several are joined by a comma.
      if (!URL.canParse(request.url) || request.headers.get('host')?.includes(',') === true)
        return answerUnreadable(app, connection);
      const answer = app.fetch(request, connection);
      return request.method === 'GET' ? answer : boundUnread(answer, request, bun);
    },
  });
  // A request that is answered before its body was read may go on sending, and these bytes would not be counted.
  async function boundUnread(
    answer: Response | Promise<Response>,
    request: Request,
    bun: Bun.Server<unknown>,
  ) {
    const response = await answer;
    if (!request.bodyUsed && request.body !== null) bun.timeout(request, headSeconds);
    return response;
  }
  return {
    port: server.port ?? port,
    close: () => server.stop(),
    destroy: () => server.stop(true),
  };
}
