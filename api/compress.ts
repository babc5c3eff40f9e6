/**
 * Compresses JSON answers over 4 KB for callers that accept gzip.
 *
 * The body is compressed by the threads of the runtime, a chunk at a time as its reader takes it: a large answer neither
 * holds up the event loop nor is in memory twice. Streams of events and everything that is no JSON pass unchanged.
 *
 * Invariant 1: an answer of up to 4 KB is sent as it is, and known to be so before its head is sent.
 * Invariant 2: `Vary` names the header that decides, on each JSON answer of 4 KB or more.
 */
import type { MiddlewareHandler } from 'hono';
import type { ApiEnv } from './context.ts';

/** An answer fits into about three packets of a network without it. */
const MIN_BYTES = 4_096;
const JSON_TYPE = /^application\/([\w.-]+\+)?json\b/;

export const compressJson: MiddlewareHandler<ApiEnv> = async (c, next) => {
  await next();
  const { res } = c;
  if (res.body === null || !JSON_TYPE.test(res.headers.get('Content-Type') ?? '')) return;
  if (c.req.method === 'HEAD' || res.headers.has('Content-Encoding')) return;
  const accepts = acceptsGzip(c.req.header('Accept-Encoding'));
  const reader = res.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const begin = await readBegin(reader);
  const headers = new Headers(res.headers);
  const isLarge = sizeOf(begin.chunks) > MIN_BYTES;
  if (isLarge) headers.append('Vary', 'Accept-Encoding');
  const isCompressed = isLarge && accepts;
  if (isCompressed) {
    headers.set('Content-Encoding', 'gzip');
    headers.delete('Content-Length');
  }
  const rest = begin.isWhole ? Buffer.concat(begin.chunks) : resume(begin.chunks, reader);
  const body = isCompressed ? compressed(rest) : rest;
  // Setting it to nothing first keeps Hono from copying the headers of the old answer over the new ones.
  c.res = undefined;
  c.res = new Response(body, { status: res.status, headers });
};

/** Returns whether gzip is named, or everything is, and not refused by a weight of 0. */
export function acceptsGzip(header: string | undefined): boolean {
  if (header === undefined) return false;
  const weights = new Map(
    header.split(',').map((entry): [string, number] => {
      const [name = '', ...parameters] = entry.toLowerCase().split(';');
      const weight = parameters.map((text) => /^\s*q=([\d.]+)\s*$/.exec(text)?.[1]).find(Boolean);
      return [name.trim(), weight === undefined ? 1 : Number(weight)];
    }),
  );
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0;
}

interface Begin {
  readonly chunks: readonly Uint8Array[];
  /** There is nothing after them. */
  readonly isWhole: boolean;
}

/** Reads until there are more bytes than an uncompressed answer may have. */
async function readBegin(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Begin> {
  const chunks: Uint8Array[] = [];
  while (sizeOf(chunks) <= MIN_BYTES) {
    const { done, value } = await reader.read();
    if (done) return { chunks, isWhole: true };
    chunks.push(value);
  }
  return { chunks, isWhole: false };
}

function sizeOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function resume(
  chunks: readonly Uint8Array[],
  reader: ReadableStreamDefaultReader<Uint8Array>,
): ReadableStream<Uint8Array> {
  const first = chunks.values();
  return new ReadableStream({
    async pull(controller) {
      const next = first.next();
      if (!next.done) return controller.enqueue(next.value);
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

function compressed(body: Uint8Array | ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const stream = body instanceof ReadableStream ? body : new Blob([new Uint8Array(body)]).stream();
  return stream.pipeThrough(new CompressionStream('gzip') as never);
}
