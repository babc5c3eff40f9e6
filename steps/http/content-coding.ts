/**
 * Decodes the content codings of a response (RFC 9110, 8.4), which `Content-Encoding` names.
 *
 * Several are decoded from the last to the first. Names that change no byte are ignored, as in browsers: servers put
 * charsets and storage formats there. An unknown name is ignored when the body is text.
 *
 * Invariant 1: no decoder returns more than the cap.
 */
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { StepFailure } from '../step-type.ts';
import { isCharset, strictText } from './charset.ts';

type Decoder = (
  body: Buffer,
  options: zlib.ZlibOptions & zlib.BrotliOptions & zlib.ZstdOptions,
) => Promise<Buffer>;

/** A response that needs more is an attack. */
const MAX_CODINGS = 5;
/** Besides the names of charsets. Amazon S3 keeps `aws-chunked` as the name of how an object once arrived. */
const UNCHANGING: ReadonlySet<string> = new Set([
  'identity',
  'none',
  'aws-chunked',
  'binary',
  '7bit',
  '8bit',
]);

const gunzip = promisify(zlib.gunzip);
const inflate = promisify(zlib.inflate);
const inflateRaw = promisify(zlib.inflateRaw);
const DECODERS: Readonly<Record<string, Decoder>> = {
  gzip: gunzip,
  'x-gzip': gunzip,
  br: promisify(zlib.brotliDecompress),
  // Node has it from 22.15 on.
  zstd: (body, options) => promisify(zlib.zstdDecompress)(body, options),
  // Some servers send raw deflate; with its header the low four bits of the first byte are 8.
  deflate: (body, options) => (((body[0] ?? 0) & 0x0f) === 8 ? inflate : inflateRaw)(body, options),
};

/** Throws StepFailure `http_invalid_response`, or `http_response_too_large` above `maxBytes`. */
export async function decodeContent(
  body: Buffer,
  header: string | undefined,
  maxBytes: number,
): Promise<Buffer> {
  const names = (header ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && !UNCHANGING.has(name) && !isCharset(name));
  if (names.length > MAX_CODINGS) throw invalid(`the response has ${names.length} content codings`, false);
  let decoded = body;
  let isUnknown = false;
  for (const name of names.reverse()) {
    const decode = DECODERS[name];
    if (decode === undefined) isUnknown = true;
    else if (decoded.length > 0) decoded = await undo(name, decode, decoded, maxBytes);
  }
  if (isUnknown && strictText(decoded) === null) {
    throw invalid(
      'the response is no text and has an unknown content coding: gzip, deflate, br and zstd are understood',
      false,
    );
  }
  return decoded;
}

async function undo(name: string, decode: Decoder, body: Buffer, maxBytes: number): Promise<Buffer> {
  try {
    return await decode(body, { maxOutputLength: maxBytes });
  } catch (cause) {
    if ((cause as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw invalid(`the response is not valid ${name}`, true, cause);
  }
}

function invalid(message: string, retryable: boolean, cause?: unknown): StepFailure {
  return new StepFailure('http_invalid_response', message, { retryable, cause });
}

export function tooLarge(maxBytes: number): StepFailure {
  return new StepFailure('http_response_too_large', `the response is larger than ${maxBytes} bytes`, {
    details: { maxBytes },
  });
}
