/**
 * The socket on Node, by its `http` module. Hono's adapter turns its messages into requests.
 *
 * The idle connections are tracked here: Node counts a connection as idle whose answer is made and not sent yet, and
 * one without a request so far as busy.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket as Connection } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { type Address, answerUnreadable, HEAD_MS, type Servable, type Socket } from './socket.ts';

/** The interval between checks for heads that take too long. */
const CHECK_MS = 5_000;

export async function listenOnNode(
  app: Servable,
  { host, port }: Address,
  draining: AbortSignal,
  headMs = HEAD_MS,
): Promise<Socket> {
  const answer = getRequestListener(
    (request, { incoming }) => {
      const { socket, headersDistinct } = incoming as IncomingMessage;
      const connection = { remoteAddress: socket.remoteAddress, draining };
      // Node takes the first of several Host headers.
      const hosts = headersDistinct.host?.length ?? 0;
      return hosts > 1 ? answerUnreadable(app, connection) : app.fetch(request, connection);
    },
    {
      overrideGlobalObjects: false,
      // The application throws no errors: the one left is a request without a valid URL.
      errorHandler: () => answerUnreadable(app, { draining }),
    },
  );
  /** Requests without an answer, by connection. */
  const connections = new Map<Connection, number>();
  // They stay open as long as their clients want: a proxy must not send into one that closes that moment.
  const server = createServer({
    keepAliveTimeout: 0,
    keepAlive: true,
    headersTimeout: headMs,
    // Bodies have their own time limit (body.ts).
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(headMs, CHECK_MS),
  });
  server.on('connection', (connection) => {
    connections.set(connection, 0);
    connection.once('close', () => connections.delete(connection));
  });
  server.on('request', (incoming, outgoing) => {
    const { socket: connection } = incoming;
    connections.set(connection, (connections.get(connection) ?? 0) + 1);
    outgoing.once('close', () => {
      const left = (connections.get(connection) ?? 0) - 1;
      if (left < 0) return;
      connections.set(connection, left);
      if (draining.aborted && left === 0) connection.end();
    });
    answer(incoming, outgoing);
  });
  server.closeIdleConnections = () => {
    for (const [connection, requests] of connections) if (requests === 0) connection.end();
  };
  server.listen(port, host);
  await once(server, 'listening');
  // The client of a connection that could not be accepted may try again.
  server.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
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
