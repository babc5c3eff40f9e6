/**
 * What a step host writes to the engine: the messages of one turn of the event loop go out together.
 *
 * Writes are synchronous, so what was said before a handler ends the process has been said.
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

/** Says it at the end of this turn. */
export function say(message: FromHost, body = ''): void {
  waiting.push(encodeFrame(message, body));
  if (scheduled) return;
  scheduled = true;
  setImmediate(flush);
}

/** Says it, and what waits, before this returns. */
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
      // Nobody is there to be told: the engine is gone.
      if ((error as { code?: unknown }).code !== 'EAGAIN') process.exit(0);
      Atomics.wait(pause, 0, 0, PAUSE_MS);
    }
  }
}
