/**
 * The socket on Node, by its `http` module. Hono's adapter makes requests of what comes in.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Address, Servable, Socket } from './socket.ts';

export async function listenOnNode(
  app: Servable,
  { host, port }: Address,
  draining: AbortSignal,
): Promise<Socket> {
  const answer = getRequestListener(
    (request, { incoming, outgoing }) => {
      const { remoteAddress } = (incoming as IncomingMessage).socket;
      const { socket } = outgoing as ServerResponse;
      // One that is kept open for the next request would keep the server from its end.
      outgoing.once('finish', () => draining.aborted && socket?.end());
      return app.fetch(request, { remoteAddress, draining });
    },
    { overrideGlobalObjects: false },
  );
  // Connections stay open as long as their clients want: a proxy must not send into one that closes that moment.
  const server = createServer({ keepAliveTimeout: 0 }, answer);
  server.listen(port, host);
  await once(server, 'listening');
  const closed = once(server, 'close');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      await closed;
    },
    async destroy() {
      server.closeAllConnections();
      await closed;
    },
  };
}
