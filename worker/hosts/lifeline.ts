/**
 * A thread of a step host that ends its process the moment the engine is gone, even when a handler never yields.
 *
 * The engine holds the other end of stdin and never writes to it: it is open for as long as the engine lives.
 */
import { readSync } from 'node:fs';

const PAUSE_MS = 200;

const pause = new Int32Array(new SharedArrayBuffer(4));
const nothing = Buffer.alloc(1);

for (let isOpen = true; isOpen; ) {
  try {
    isOpen = readSync(0, nothing) > 0;
  } catch (error) {
    isOpen = (error as { code?: unknown }).code === 'EAGAIN';
    if (isOpen) Atomics.wait(pause, 0, 0, PAUSE_MS);
  }
}
try {
  // Includes the children of handlers: the process leads a group of its own.
  process.kill(-process.pid, 'SIGKILL');
} catch {
  process.kill(process.pid, 'SIGKILL');
}
