/**
 * A pooler in transaction mode, in small: clients share server sessions, and each has one for a transaction at a time.
 *
 * It speaks as much of PostgreSQL's protocol (version 3, without TLS) as tests need. Every server session is opened
 * with the login of the client that caused it; a client that finds a free one, or no room, is told that it is logged in.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TransactionPooler {
  /** The URL with this pooler in place of the server. */
  readonly url: string;
  close(): Promise<void>;
}

interface Backend {
  readonly socket: Socket;
  /** Who has it now; null: it is free. */
  client: Socket | null;
}

const TYPE = (letter: string) => letter.charCodeAt(0);
const READY = TYPE('Z');
const TERMINATE = TYPE('X');
/** AuthenticationOk, then ReadyForQuery outside a transaction. */
const LOGGED_IN = Buffer.from([TYPE('R'), 0, 0, 0, 8, 0, 0, 0, 0, READY, 0, 0, 0, 5, TYPE('I')]);

/** @param target URL of the database @param size most server sessions */
export async function transactionPooler(target: string, size: number): Promise<TransactionPooler> {
  const { hostname, port } = new URL(target);
  const backends: Backend[] = [];
  const waiting: { client: Socket; bytes: Buffer }[] = [];
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  };

  /** Free ones; the last one that became free is the first to be taken, as PgBouncer does it. */
  const free: Backend[] = [];

  /** Gives a backend that became free to whoever waits. */
  const lend = (backend: Backend) => {
    const next = waiting.shift();
    backend.client = next?.client ?? null;
    if (next === undefined) free.push(backend);
    else backend.socket.write(next.bytes);
  };

  const open = (client: Socket): Backend => {
    const backend: Backend = { socket: connect(Number(port), hostname), client };
    track(backend.socket);
    backends.push(backend);
    backend.socket.on(
      'data',
      messages((message) => {
        backend.client?.write(message);
        if (message[0] === READY && message[5] === TYPE('I')) lend(backend);
      }),
    );
    return backend;
  };

  const forward = (client: Socket, bytes: Buffer) => {
    const backend = backends.find((candidate) => candidate.client === client) ?? free.pop();
    if (backend === undefined) return void waiting.push({ client, bytes });
    backend.client = client;
    backend.socket.write(bytes);
  };

  const server = createServer((client) => {
    track(client);
    let loggedIn = false;
    client.on('data', (bytes: Buffer) => {
      if (loggedIn) return bytes[0] === TERMINATE ? void client.end() : forward(client, bytes);
      loggedIn = true;
      if (free.length > 0 || backends.length >= size) client.write(LOGGED_IN);
      else open(client).socket.write(bytes);
    });
    client.on('close', () => {
      for (const backend of backends) if (backend.client === client) backend.socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Cuts what a server sends into messages. */
function messages(onMessage: (message: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 5) {
      const end = 1 + rest.readUInt32BE(1);
      if (rest.length < end) return;
      const message = rest.subarray(0, end);
      rest = rest.subarray(end);
      onMessage(message);
    }
  };
}
