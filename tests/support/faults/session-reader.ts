/**
 * Asks the sessions of a running program for their settings: a proxy that slips a query of its own into each
 * connection while nothing else is going on in it, and keeps the answer to itself.
 *
 * It speaks as much of PostgreSQL's protocol (version 3, without TLS) as that takes: it counts what the client has
 * asked and the server has not answered yet.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Settings = Readonly<Record<string, string>>;

export interface SessionReader {
  /** The URL to connect to. */
  readonly url: string;
  /** The settings of every session that is open and not within a transaction; waits for those that are busy. */
  read(names: readonly string[]): Promise<Settings[]>;
  close(): Promise<void>;
}

/** @param target URL of the database */
export async function readSessions(target: string): Promise<SessionReader> {
  const sessions = new Set<Session>();
  const sockets = new Set<Socket>();
  const { hostname, port } = new URL(target);
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    const session = new Session(client, upstream);
    sessions.add(session);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
        sessions.delete(session);
        session.close();
        sockets.delete(socket);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    read: async (names) => {
      const list = names.map((name) => `'${name}'`).join();
      const text = `select name, setting || coalesce(unit, '') from pg_settings where name in (${list})`;
      const answers = await Promise.all([...sessions].map((session) => session.ask(text)));
      return answers.filter((rows) => rows !== null).map((rows) => Object.fromEntries(rows));
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

type Rows = [name: string, value: string][];

interface Question {
  readonly text: string;
  /** Null: the session ended before it could be asked. */
  readonly answer: (rows: Rows | null) => void;
}

const TYPE = (letter: string) => letter.charCodeAt(0);
const [QUERY, SYNC, READY, ROW] = [TYPE('Q'), TYPE('S'), TYPE('Z'), TYPE('D')];
/** Messages that the server sends by itself: notifications, notices, changed parameters. */
const UNASKED = new Set([TYPE('A'), TYPE('N'), TYPE('S')]);

class Session {
  readonly #client: Socket;
  readonly #upstream: Socket;
  /** What the client asked and the server has not said it is ready after; the first is the login. */
  #unanswered = 1;
  /** What the server was ready after: first the login, then the settings that the client makes. */
  #answered = 0;
  #inTransaction = false;
  #questions: Question[] = [];
  #asking: { question: Question; rows: Rows } | null = null;
  #held: Buffer[] = [];

  constructor(client: Socket, upstream: Socket) {
    this.#client = client;
    this.#upstream = upstream;
    const login = { done: false };
    client.on(
      'data',
      splitter(
        (message) => this.#fromClient(message),
        () => firstOnce(login),
      ),
    );
    upstream.on(
      'data',
      splitter(
        (message) => this.#fromServer(message),
        () => false,
      ),
    );
  }

  ask(text: string): Promise<Rows | null> {
    return new Promise((answer) => {
      this.#questions.push({ text, answer });
      this.#askNext();
    });
  }

  close(): void {
    this.#asking?.question.answer(null);
    for (const { answer } of this.#questions.splice(0)) answer(null);
  }

  #fromClient(message: Buffer): void {
    if (this.#asking !== null) return void this.#held.push(message);
    if (message[0] === QUERY || message[0] === SYNC) this.#unanswered += 1;
    this.#upstream.write(message);
  }

  #fromServer(message: Buffer): void {
    const type = message[0]!;
    const asking = this.#asking;
    if (asking === null || UNASKED.has(type)) this.#client.write(message);
    if (asking !== null && type === ROW) asking.rows.push(rowOf(message) as [string, string]);
    if (type !== READY) return;
    if (asking !== null) {
      this.#asking = null;
      asking.question.answer(asking.rows);
      for (const held of this.#held.splice(0)) this.#fromClient(held);
    } else {
      this.#answered += 1;
      this.#unanswered -= 1;
      this.#inTransaction = message[5] !== TYPE('I');
    }
    this.#askNext();
  }

  #askNext(): void {
    if (this.#answered < 2 || this.#asking !== null || this.#unanswered > 0 || this.#inTransaction) return;
    const question = this.#questions.shift();
    if (question === undefined) return;
    this.#asking = { question, rows: [] };
    const text = Buffer.from(`${question.text}\0`);
    const head = Buffer.alloc(5);
    head[0] = QUERY;
    head.writeUInt32BE(text.length + 4, 1);
    this.#upstream.write(Buffer.concat([head, text]));
  }
}

function firstOnce(state: { done: boolean }): boolean {
  if (state.done) return false;
  state.done = true;
  return true;
}

/** Cuts a stream into messages. @param untyped whether the next message has no type: the client's first has none */
function splitter(onMessage: (message: Buffer) => void, untyped: () => boolean): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  let lengthAt: number | null = null;
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (;;) {
      lengthAt ??= untyped() ? 0 : 1;
      if (rest.length < lengthAt + 4) return;
      const end = lengthAt + rest.readUInt32BE(lengthAt);
      if (rest.length < end) return;
      const message = rest.subarray(0, end);
      rest = rest.subarray(end);
      lengthAt = null;
      onMessage(message);
    }
  };
}

/** The columns of a DataRow as text. */
function rowOf(message: Buffer): string[] {
  const columns: string[] = [];
  let at = 7;
  for (let left = message.readUInt16BE(5); left > 0; left -= 1) {
    const length = message.readInt32BE(at);
    columns.push(message.toString('utf8', at + 4, at + 4 + length));
    at += 4 + length;
  }
  return columns;
}
