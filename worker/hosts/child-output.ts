/**
 * Sends messages from a step host to the engine: those of one turn of the event loop are sent together.
 *
 * Writes are synchronous, so messages are sent even when a handler then ends the process.
 */
import { writeSync } from 'node:fs';
import { encodeFrame } from '../../process/frame.ts';
import type { FromHost } from './wire.ts';

/** The descriptor that the engine gave this process. */
export const CHANNEL = 3;
const PAUSE_MS = 1;

const pause = new Int32Array(new SharedArrayBuffer(4));
let waiting: Buffer[] = [];
let scheduled = false;

/** Sends a message at the end of this turn. */
export function say(message: FromHost, body = ''): void {
  waiting.push(encodeFrame(message, body));
  if (scheduled) return;
  scheduled = true;
  setImmediate(flush);
}

/** Sends a message, and all pending ones, before it returns. */
export function sayNow(message: FromHost): void {
  waiting.push(encodeFrame(message));
  flush();
}

export function flush(): void {
  scheduled = false;
  if (waiting.length === 0) return;
  const bytes = waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting);
  waiting = [];
  for (let sent = 0; sent < bytes.length; ) {
    try {
      sent += writeSync(CHANNEL, bytes, sent);
    } catch (error) {
      // The engine is gone.
      if ((error as { code?: unknown }).code !== 'EAGAIN') process.exit(0);
      Atomics.wait(pause, 0, 0, PAUSE_MS);
    }
  }
}
