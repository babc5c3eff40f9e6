/**
 * The wire between the engine and a sandbox process: length-prefixed frames over stdin and stdout.
 *
 * A frame is two unsigned 32-bit lengths (header, body; big endian), a JSON header and a UTF-8 body. The body is
 * JSON text already and is not encoded a second time.
 *
 * Invariant 1: JSON.stringify escapes control characters and lone surrogates, so every text survives UTF-8.
 */
export interface Frame<H> {
  header: H;
  /** Decoded on first use. */
  readonly body: string;
  readonly bytes: Buffer;
}

const PREFIX_BYTES = 8;

/** @param body text, or its bytes in UTF-8 */
export function encodeFrame(header: object, body: string | Uint8Array = ''): Buffer {
  const head = JSON.stringify(header);
  const headBytes = Buffer.byteLength(head);
  const bodyBytes = Buffer.byteLength(body);
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + headBytes + bodyBytes);
  frame.writeUInt32BE(headBytes, 0);
  frame.writeUInt32BE(bodyBytes, 4);
  frame.write(head, PREFIX_BYTES);
  if (typeof body === 'string') frame.write(body, PREFIX_BYTES + headBytes);
  else frame.set(body, PREFIX_BYTES + headBytes);
  return frame;
}

/** Collects chunks and returns whole frames. Throws when a frame would be larger than `maxBytes`. */
export class FrameReader<H> {
  #chunks: Buffer[] = [];
  #bytes = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): Frame<H>[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const frames: Frame<H>[] = [];
    for (let frame = this.#next(); frame !== null; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next(): Frame<H> | null {
    if (this.#bytes < PREFIX_BYTES) return null;
    if (this.#chunks[0]!.length < PREFIX_BYTES) this.#join();
    const first = this.#chunks[0]!;
    const headBytes = first.readUInt32BE(0);
    const total = PREFIX_BYTES + headBytes + first.readUInt32BE(4);
    if (total > this.#maxBytes)
      throw new RangeError(`a frame of ${total} bytes is larger than ${this.#maxBytes}`);
    if (this.#bytes < total) return null;
    if (first.length < total) this.#join();
    const whole = this.#chunks[0]!;
    this.#bytes -= total;
    if (whole.length === total) this.#chunks.shift();
    else this.#chunks[0] = whole.subarray(total);
    const body = PREFIX_BYTES + headBytes;
    const header = JSON.parse(whole.toString('utf8', PREFIX_BYTES, body)) as H;
    return new ReadFrame(header, whole.subarray(body, total));
  }

  #join(): void {
    this.#chunks = [Buffer.concat(this.#chunks)];
  }
}

class ReadFrame<H> implements Frame<H> {
  readonly header: H;
  readonly bytes: Buffer;

  constructor(header: H, bytes: Buffer) {
    this.header = header;
    this.bytes = bytes;
  }

  get body(): string {
    return this.bytes.toString('utf8');
  }
}
