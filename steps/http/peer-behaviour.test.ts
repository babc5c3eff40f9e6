/**
 * No behaviour of a peer makes a call longer than its time limit, on Bun and on Node.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net, { type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const SWITCHED = 'http_invalid_response';
const BROKEN = 'http_network_error';

/** Parts of an answer; after each of them a peer may do something else than go on. */
const PHASES: Readonly<Record<string, string>> = {
  'before its answer': '',
  'within the status line': 'HTTP/1.1 20',
  'after the status line': 'HTTP/1.1 200 OK\r\n',
  'within a header': 'HTTP/1.1 200 OK\r\ncontent-le',
  'after 100': 'HTTP/1.1 100 Continue\r\n\r\n',
  'after 103': 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n',
  'after the head': 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n',
  'within the body': 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort',
  'within the size of a chunk': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6',
  'within a chunk': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nshort',
  'before the last chunk': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n',
};
const TURNS: Readonly<Record<string, readonly [(socket: Socket, text: string) => void, string]>> = {
  'keeps silent': [(socket, text) => socket.write(text), 'timeout'],
  'closes its half': [(socket, text) => socket.end(text), BROKEN],
  closes: [(socket, text) => socket.write(text, () => socket.destroy()), BROKEN],
  'resets the connection': [(socket, text) => socket.write(text, () => socket.resetAndDestroy()), BROKEN],
};

/** Writes a text again and again, until the connection is closed. */
function pour(socket: Socket, text: string): void {
  const more = () => {
    while (!socket.destroyed && socket.write(text));
  };
  socket.on('drain', more);
  more();
}

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\n';
const UPGRADE = 'Upgrade: x\r\nConnection: Upgrade\r\n';
const OTHERS: Readonly<Record<string, readonly [(socket: Socket) => void, string]>> = {
  'switches protocols': [(socket) => socket.write(`${SWITCH}${UPGRADE}\r\n`), SWITCHED],
  'switches protocols and closes its half': [(socket) => socket.end(`${SWITCH}${UPGRADE}\r\n`), SWITCHED],
  'switches protocols and talks without an end': [
    (socket) => {
      socket.write(`${SWITCH}${UPGRADE}\r\n`);
      pour(socket, 'x'.repeat(1_000));
    },
    SWITCHED,
  ],
  'switches protocols to none': [(socket) => socket.write(`${SWITCH}\r\n`), SWITCHED],
  'switches protocols to WebSocket': [
    (socket) => socket.write(`${SWITCH}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`),
    SWITCHED,
  ],
  'says that a tunnel is open': [
    (socket) => socket.write('HTTP/1.1 200 Connection established\r\n\r\n'),
    'timeout',
  ],
  'sends 100 without an end': [(socket) => pour(socket, 'HTTP/1.1 100 Continue\r\n\r\n'), 'timeout'],
  'sends 103 without an end': [(socket) => pour(socket, 'HTTP/1.1 103 Early Hints\r\n\r\n'), 'timeout'],
  'sends a head without an end': [
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      pour(socket, `x-a: ${'x'.repeat(1_000)}\r\n`);
    },
    BROKEN,
  ],
  'sends empty lines without an end': [(socket) => pour(socket, '\r\n'), 'timeout'],
};

interface Case {
  readonly name: string;
  readonly code: string;
  readonly behave: (socket: Socket) => unknown;
}
const CASES: readonly Case[] = [
  ...Object.entries(TURNS).flatMap(([turn, [take, code]]) =>
    Object.entries(PHASES).map(([phase, text]) => ({
      name: `${turn} ${phase}`,
      code,
      behave: (socket: Socket) => take(socket, text),
    })),
  ),
  ...Object.entries(OTHERS).map(([name, [behave, code]]) => ({ name, code, behave })),
];

/** A peer that speaks bytes. It closes nothing by itself. */
async function rawPeer({ behave }: Case) {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}).on('end', () => socket.end());
    socket.once('data', () => behave(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    /** Waits until the caller has closed its connections. */
    closed: () => new Promise((resolve) => server.close(resolve)),
  };
}

const hasNode = Bun.which('node') !== null;
let folder: string;
let program: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'peer-behaviour-'));
  const entry = new URL('../../tests/support/call-alone.ts', import.meta.url).pathname;
  const naming = '[name].mjs';
  const built = await Bun.build({ entrypoints: [entry], outdir: folder, target: 'node', naming });
  program = built.outputs[0]!.path;
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  ['Bun', process.execPath, true],
  ['Node', 'node', hasNode],
] as const)(
  'on %s a call ends in time and closes its connection, whatever the peer does',
  async (_name, command, isThere) => {
    if (!isThere) return;
    const peers = await Promise.all(CASES.map(rawPeer));
    // Only a peer that is to be waited for meets a short limit: on a busy machine the others take their time.
    const calls = peers.map(({ url }, at) => `${CASES[at]!.code === 'timeout' ? 1_000 : 200_000} ${url}`);
    const { stdout } = await promisify(execFile)(command, [program, ...calls]);
    const ends = stdout.trim().split('\n');
    expect(CASES.map(({ name }, at) => `${name}: ${ends[at]}`)).toEqual(
      CASES.map(({ name, code }) => `${name}: ${code}`),
    );
    await Promise.all(peers.map(({ closed }) => closed()));
  },
);
