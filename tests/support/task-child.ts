/**
 * A process of a task pool for tests: does what each task says.
 */
import { createReadStream, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { encodeFrame, FrameReader } from '../../process/frame.ts';

type Request =
  | { kind: 'setup'; refuses: boolean }
  | { kind: 'echo' | 'spin' | 'die' }
  | { kind: 'grow'; bytes: number };

const held: Uint8Array[] = [];
const reader = new FrameReader<Request>(2 ** 30);
const input =
  process.versions.bun === undefined
    ? new Socket({ fd: 3, readable: true, writable: false })
    : createReadStream('', { fd: 3 });
input.on('data', (chunk) => {
  for (const { header, body } of reader.push(chunk as Buffer)) act(header, body);
});
input.on('end', () => process.exit(0));

function act(request: Request, body: string): void {
  switch (request.kind) {
    case 'setup':
      say(request.refuses ? { kind: 'broken', message: 'it refuses' } : { kind: 'ready' });
      return;
    case 'echo':
      say({ kind: 'done', pid: process.pid }, body);
      return;
    case 'die':
      process.exit(1);
      return;
    case 'grow':
      held.push(new Uint8Array(request.bytes).fill(1));
      spin();
      return;
    case 'spin':
      spin();
  }
}

function spin(): never {
  for (;;);
}

function say(header: object, body = ''): void {
  const frame = encodeFrame(header, body);
  for (let sent = 0; sent < frame.length; ) sent += writeSync(3, frame, sent);
}
