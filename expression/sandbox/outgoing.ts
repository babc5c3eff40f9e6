/**
 * The frames that a lane hands to its processes in one turn of the event loop: those of a process travel together.
 */
import type { SandboxProcess } from './process.ts';

/** Bytes of one turn, apart from the last frame. */
const MAX_BYTES = 1024 * 1024;

export class Outgoing {
  readonly #frames = new Map<Pick<SandboxProcess, 'write'>, Buffer[]>();
  #bytes = 0;

  add(process: Pick<SandboxProcess, 'write'>, frame: Buffer): void {
    const frames = this.#frames.get(process) ?? [];
    this.#frames.set(process, frames);
    frames.push(frame);
    this.#bytes += frame.length;
  }

  /** Whether the rest of the jobs has to wait for the next turn. */
  get isFull(): boolean {
    return this.#bytes > MAX_BYTES;
  }

  send(): void {
    for (const [process, frames] of this.#frames) process.write(frames);
  }
}
