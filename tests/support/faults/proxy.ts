/**
 * A TCP proxy that can fall silent or hang up, for tests of connections that break.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Proxy {
  /** The URL with this proxy in place of the server. */
  url: string;
  /** Connections that are open now, from clients. */
  connections(): number;
  /** Nothing is passed on any more, in either direction, on connections old and new; nobody is told. */
  silence(): void;
  /** Connections made from now on are passed on again; silent ones stay silent. */
  heal(): void;
  /** Closes all connections, and every new one as soon as it is made, until `heal`. */
  refuse(): void;
  /** Closes all connections. */
  hangUp(): void;
  close(): Promise<void>;
}

/** Listens on a free loopback port. @param onUpstream hears of every connection to the server, before it is used */
export async function proxyTo(target: string, onUpstream?: (upstream: Socket) => void): Promise<Proxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let silent = false;
  let refusing = false;
  const server = createServer((client) => {
    sockets.add(client);
    client.on('error', () => {});
    client.on('close', () => sockets.delete(client));
    if (refusing) return void client.destroy();
    if (silent) return void client.pause();
    const upstream = connect(Number(port), hostname);
    onUpstream?.(upstream);
    upstream.on('error', () => client.destroy());
    client.pipe(upstream);
    upstream.pipe(client);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    client.once('silence', () => {
      client.unpipe(upstream);
      upstream.unpipe(client);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    connections: () => sockets.size,
    silence: () => {
      silent = true;
      for (const socket of sockets) socket.emit('silence');
    },
    heal: () => {
      silent = false;
      refusing = false;
    },
    refuse: () => {
      refusing = true;
      for (const socket of sockets) socket.destroy();
    },
    hangUp: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
