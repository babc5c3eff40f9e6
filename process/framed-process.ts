/**
 * A child process that the engine speaks to in frames: how it is started, written to, read and ended.
 *
 * Not here: what is said, and when it must end.
 *
 * Invariant 1: whatever it writes, the engine only reads frames of a bounded size; any other output ends it.
 * Invariant 2: the engine's process can end although this one lives.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { type Frame, FrameReader } from './frame.ts';
import { LineSplitter } from './line-splitter.ts';

/** How a process ended. */
export interface Exit {
  /** Null when a signal ended it, or when it could not be started. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface FramedProcessOptions<H> {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** The engine's own environment when it is left out. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Where frames go: over stdin and stdout, or over descriptor 3. Then stdin stays silent and open for as long as the
   * engine lives, and each line that the process writes to stdout and stderr is handed to `onOutput`.
   */
  readonly channel: 'stdio' | 'extra';
  readonly maxFrameBytes: number;
  onFrame(frame: Frame<H>): void;
  onOutput?(line: string, stream: 'stdout' | 'stderr'): void;
  /** Once, when the process is gone and the frames it wrote were read. */
  onClose(exit: Exit): void;
}

/** Processes that the process has started may hold its channel open when it is gone. */
const CHANNEL_CLOSES_WITHIN_MS = 250;
const MAX_LINE_LENGTH = 10_000;

export class FramedProcess<H> {
  readonly #child: ChildProcess;
  readonly #out: Writable;
  readonly #ownGroup: boolean;
  #closed = false;

  /** Throws what spawn throws. */
  constructor(options: FramedProcessOptions<H>) {
    const { command, args, cwd, env, channel } = options;
    const stdio: StdioOptions =
      channel === 'stdio' ? ['pipe', 'pipe', 'ignore'] : ['pipe', 'pipe', 'pipe', 'pipe'];
    // A group of its own: a Ctrl-C is the engine's business, and what it starts can be ended with it.
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
    // A process that is gone is noticed by its end; a write that comes too late is of no interest.
    this.#out.on('error', () => undefined);
    this.#child.stdin!.on('error', () => undefined);
    this.#unref();
  }

  get pid(): number | null {
    return this.#child.pid ?? null;
  }

  write(frames: readonly Buffer[]): void {
    this.#out.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames));
  }

  /** Ends it, and with a group of its own what it has started. */
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
      // Nobody is left in it.
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
      // What lies unread is read first: this process may have been held up for just as long.
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
