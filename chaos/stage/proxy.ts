/**
 * The wire between the engines and PostgreSQL, with faults.
 *
 * It knows two things of the protocol: the message that asks for a commit, and the one that says it was done. Both are
 * searched as bytes, so that passing on is cheap. A message that is split over two packets is missed, and a match
 * within data is a fault at an unusual place, which is welcome too.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Chance } from '../chance.ts';

export interface WireFaults {
  /** Share of commits whose answer is eaten. */
  eat: number;
  /** Share of commits that never reach the database. */
  cut: number;
}

export interface WireCounts {
  eaten: number;
  cut: number;
  dropped: number;
  silenced: number;
  commits: number;
  connections: number;
}

/** CommandComplete with the tag COMMIT. */
const COMMITTED = Buffer.from('C\0\0\0\x0bCOMMIT\0', 'latin1');
/** The end of a Query or Parse message that asks for it; node-pg sends what the engine writes, in lower case. */
const COMMIT = Buffer.from('commit\0', 'latin1');
/** ReadyForQuery, outside a transaction. */
const IDLE = Buffer.from('Z\0\0\0\x05I', 'latin1');
const WRITES = ['INSERT 0 ', 'UPDATE ', 'DELETE '].map((tag) => Buffer.from(tag, 'latin1'));
/** Type and length of the Query message that ends with the request. */
const HEADER_BYTES = 5;

interface Wire {
  readonly client: Socket;
  readonly server: Socket;
  silent: boolean;
}

export class PostgresProxy {
  readonly faults: WireFaults = { eat: 0, cut: 0 };
  readonly counts: WireCounts = { eaten: 0, cut: 0, dropped: 0, silenced: 0, commits: 0, connections: 0 };
  readonly #wires = new Set<Wire>();
  readonly #server: Server;
  readonly #chance: Chance;
  readonly #target: () => number;
  #isSilent = false;

  /** @param target the server's port, which may change */
  private constructor(target: () => number, chance: Chance) {
    this.#target = target;
    this.#chance = chance;
    this.#server = createServer((client) => this.#open(client));
  }

  static async listen(target: () => number, chance: Chance): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(target, chance);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Closes one connection, drawn; false: there is none. */
  dropOne(): boolean {
    const wire = this.#drawWire();
    if (wire === null) return false;
    this.counts.dropped += 1;
    this.#destroy(wire);
    return true;
  }

  dropAll(): void {
    this.counts.dropped += this.#wires.size;
    for (const wire of this.#wires) this.#destroy(wire);
  }

  /** One connection passes no bytes and stays open, until the returned function is called. */
  silenceOne(): () => void {
    const wire = this.#drawWire();
    if (wire === null) return () => {};
    this.counts.silenced += 1;
    silence(wire);
    return () => wakeUp(wire);
  }

  /** All connections, also new ones, pass no bytes and stay open, until the returned function is called. */
  silenceAll(): () => void {
    this.#isSilent = true;
    for (const wire of this.#wires) silence(wire);
    return () => {
      this.#isSilent = false;
      for (const wire of this.#wires) wakeUp(wire);
    };
  }

  async close(): Promise<void> {
    for (const wire of this.#wires) this.#destroy(wire);
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #drawWire(): Wire | null {
    const wires = [...this.#wires].filter(({ silent }) => !silent);
    return wires.length === 0 ? null : this.#chance.pick(wires);
  }

  #open(client: Socket): void {
    const server = connect(this.#target(), '127.0.0.1');
    const wire: Wire = { client, server, silent: false };
    this.#wires.add(wire);
    this.counts.connections += 1;
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => this.#destroy(wire));
    }
    client.on('data', (chunk: Buffer) => this.#ask(wire, chunk));
    server.on('data', (chunk: Buffer) => this.#answer(wire, chunk));
    if (this.#isSilent) silence(wire);
  }

  #destroy(wire: Wire): void {
    this.#wires.delete(wire);
    wire.client.destroy();
    wire.server.destroy();
  }

  #ask(wire: Wire, chunk: Buffer): void {
    if (this.faults.cut > 0) {
      const at = chunk.indexOf(COMMIT);
      if (at >= HEADER_BYTES && this.#chance.happens(this.faults.cut)) {
        this.counts.cut += 1;
        // The transaction's work so far arrives; its commit does not.
        wire.server.end(chunk.subarray(0, at - HEADER_BYTES));
        this.#destroy(wire);
        return;
      }
    }
    pass(wire, wire.client, wire.server, chunk);
  }

  #answer(wire: Wire, chunk: Buffer): void {
    const at = this.#committedAt(chunk);
    if (at >= 0) {
      this.counts.commits += 1;
      if (this.faults.eat > 0 && this.#chance.happens(this.faults.eat)) {
        this.counts.eaten += 1;
        wire.client.end(chunk.subarray(0, at));
        this.#destroy(wire);
        return;
      }
    }
    pass(wire, wire.server, wire.client, chunk);
  }

  /** Where the answer to a commit begins, or to a write that was a transaction of its own; -1: nowhere. */
  #committedAt(chunk: Buffer): number {
    const committed = chunk.indexOf(COMMITTED);
    if (committed >= 0) return committed;
    if (!chunk.subarray(-IDLE.length).equals(IDLE)) return -1;
    return WRITES.some((tag) => chunk.includes(tag)) ? chunk.length - IDLE.length : -1;
  }
}

function silence(wire: Wire): void {
  wire.silent = true;
  for (const socket of [wire.client, wire.server]) socket.pause();
}

function wakeUp(wire: Wire): void {
  wire.silent = false;
  for (const socket of [wire.client, wire.server]) socket.resume();
}

function pass(wire: Wire, from: Socket, to: Socket, chunk: Buffer): void {
  if (to.write(chunk)) return;
  from.pause();
  to.once('drain', () => {
    if (!wire.silent) from.resume();
  });
}
