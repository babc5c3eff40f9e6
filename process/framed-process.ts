/**
 * A child process that exchanges frames with the engine: how it is started, written to, read and ended.
 *
 * Not here: the content of frames, and the reasons to end a process.
 *
 * Invariant 1: the engine reads only frames of a bounded size; any other output ends the process.
 * Invariant 2: the engine's process can exit while this one is alive.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { type Frame, FrameReader } from './frame.ts';
import { LineSplitter } from './line-splitter.ts';

/** The way a process ended. */
export interface Exit {
  /** Null when a signal ended it, or when it could not be started. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface FramedProcessOptions<H> {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Default: the engine's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * The channel of frames: stdin and stdout, or descriptor 3. With descriptor 3, stdin stays silent and open for as
   * long as the engine lives, and each line that the process writes to stdout and stderr is passed to `onOutput`.
   */
  readonly channel: 'stdio' | 'extra';
  readonly maxFrameBytes: number;
  onFrame(frame: Frame<H>): void;
  onOutput?(line: string, stream: 'stdout' | 'stderr'): void;
  /** Called once, when the process has exited and its frames were read. */
  onClose(exit: Exit): void;
}

/** Children of the process may hold its channel open after it has exited. */
const CHANNEL_CLOSES_WITHIN_MS = 250;
const MAX_LINE_LENGTH = 10_000;
/** Larger frames are not copied to be joined with others. */
const MAX_JOINED = 64 * 1_024;

export class FramedProcess<H> {
  readonly #child: ChildProcess;
  readonly #out: Writable;
  readonly #ownGroup: boolean;
  #closed = false;

  /** @throws Error of spawn */
  constructor(options: FramedProcessOptions<H>) {
    const { command, args, cwd, env, channel } = options;
    const stdio: StdioOptions =
      channel === 'stdio' ? ['pipe', 'pipe', 'ignore'] : ['pipe', 'pipe', 'pipe', 'pipe'];
    // A group of its own: Ctrl-C reaches the engine alone, and the children of the process can be ended with it.
    this.#ownGroup = channel === 'extra' && process.platform !== 'win32';
    this.#child = spawn(command, args, {
      stdio,
      detached: this.#ownGroup,
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
    });
    const input = (channel === 'stdio' ? this.#child.stdout : this.#child.stdio[3]) as Readable;
    this.#out = (channel === 'stdio' ? this.#child.stdin : this.#child.stdio[3]) as Writable;
    this.#read(input, options);
    this.#noticeEnd(input, options);
    if (channel === 'extra') this.#readOutput(options);
    // A dead process is noticed by its exit, so a failed write needs no handling.
    this.#out.on('error', () => undefined);
    this.#child.stdin!.on('error', () => undefined);
    this.#unref();
  }

  get pid(): number | null {
    return this.#child.pid ?? null;
  }

  /** Small frames are written together, since each write is a call of the system. */
  write(frames: readonly Buffer[]): void {
    const small: Buffer[] = [];
    for (const frame of frames) {
      if (frame.length <= MAX_JOINED) small.push(frame);
      else {
        this.#flush(small);
        this.#out.write(frame);
      }
    }
    this.#flush(small);
  }

  #flush(frames: Buffer[]): void {
    if (frames.length > 0) this.#out.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames));
    frames.length = 0;
  }

  /** Kills the process, and its children when it has a group of its own. */
  kill(): void {
    if (this.#ownGroup) this.#killGroup();
    this.#child.kill('SIGKILL');
  }

  #killGroup(): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // The group is empty already.
    }
  }

  #read(input: Readable, { maxFrameBytes, onFrame }: FramedProcessOptions<H>): void {
    const reader = new FrameReader<H>(maxFrameBytes);
    input.on('data', (chunk: Buffer) => {
      try {
        for (const frame of reader.push(chunk)) onFrame(frame);
      } catch {
        this.kill();
      }
    });
  }

  #noticeEnd(input: Readable, { channel, onClose }: FramedProcessOptions<H>): void {
    const close = (exit: Exit): void => {
      if (this.#closed) return;
      this.#closed = true;
      onClose(exit);
    };
    this.#child.on('error', () => close({ code: null, signal: null }));
    if (channel === 'stdio') {
      this.#child.on('close', (code, signal) => close({ code, signal }));
      return;
    }
    this.#child.on('exit', (code, signal) => {
      this.#killGroup();
      const exit = { code, signal };
      if (input.destroyed || input.readableEnded) return close(exit);
      input.on('close', () => close(exit));
      input.on('end', () => close(exit));
      // Pending output is read first: this process may have been paused for just as long.
      setTimeout(() => setImmediate(() => setImmediate(() => close(exit))), CHANNEL_CLOSES_WITHIN_MS);
    });
  }

  #readOutput({ onOutput }: FramedProcessOptions<H>): void {
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = this.#child[name]!;
      stream.setEncoding('utf8');
      const lines = new LineSplitter(MAX_LINE_LENGTH, (line) => onOutput?.(line, name));
      stream.on('data', (text: string) => lines.push(text));
      stream.on('close', () => lines.end());
      stream.on('error', () => undefined);
    }
  }

  #unref(): void {
    this.#child.unref();
    for (const stream of this.#child.stdio) (stream as { unref?: () => void } | null)?.unref?.();
  }
}
