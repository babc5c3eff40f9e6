/**
 * Request bodies: read under a byte limit, decoded strictly, parsed by the engine's own parser.
 *
 * The framework's body parsers are not used: they read without a limit, take invalid UTF-8, and let values
 * through that the database refuses.
 *
 * Invariant 1: at most the limit is held in memory, with any Content-Length or none.
 * Invariant 2: a body that stops arriving, or arrives too slowly, is given up after a bounded time, and at once when
 * another one needs its room.
 */
import { parseJson } from '../core/json/parse-json.ts';
import { decodeUtf8 } from '../core/json/utf8.ts';
import { EngineError } from '../core/problem.ts';
import type { DefinitionSource } from '../definition/source.ts';
import type { IntakeTicket } from './intake.ts';

export interface BodyLimits {
  /** Bytes. */
  maxBytes: number;
  /** The variable that sets `maxBytes`. */
  setting: string;
  /** Levels of nesting. */
  maxDepth: number;
  /**
   * The time in which the whole body or at least 16 kB for each second of it must arrive, again and again, in
   * milliseconds; default 30 s.
   */
  graceMs?: number | undefined;
  /** Told of the bytes as they arrive; may throw the error to answer. */
  ticket?: IntakeTicket | undefined;
}

const GRACE_MS = 30_000;
/** The slowest rate at which a body may arrive, over each grace time. */
const BYTES_PER_MS = 16;

export const JSON_MEDIA_TYPE = 'application/json';
export const YAML_MEDIA_TYPE = 'application/yaml';
const YAML_MEDIA_TYPES: ReadonlySet<string> = new Set([
  YAML_MEDIA_TYPE,
  'application/x-yaml',
  'text/yaml',
  'text/x-yaml',
]);

/** Bytes of any JSON that is parsed and checked within some milliseconds. */
export const MAX_LIGHT_BODY_BYTES = 64 * 1_024;

/** The limits of a call whose body has a few fields. */
export function few(limits: BodyLimits): BodyLimits {
  if (limits.maxBytes <= MAX_LIGHT_BODY_BYTES) return limits;
  return { ...limits, maxBytes: MAX_LIGHT_BODY_BYTES, setting: 'which has a few fields' };
}

/**
 * The bytes of a JSON body; null: there is none, and `optional` allows that.
 * Throws EngineError: unsupported_media_type, body_too_large.
 */
export async function readJsonBytes(
  request: Request,
  limits: BodyLimits,
  optional: boolean,
): Promise<Uint8Array | null> {
  if (optional && request.body === null) return null;
  const named = request.headers.has('content-type');
  if (named || !optional) requireMediaType(request, [JSON_MEDIA_TYPE]);
  const bytes = await readBytes(request, limits);
  if (bytes.byteLength === 0 && optional) return null;
  if (!named) requireMediaType(request, [JSON_MEDIA_TYPE]);
  return bytes;
}

/** The value of a JSON body. Throws EngineError: malformed_json, or the error of the parser. */
export function parseJsonBody(bytes: Uint8Array, { maxDepth }: BodyLimits): unknown {
  const text = decodeUtf8(bytes, 'malformed_json');
  if (text.trim() === '') throw new EngineError('malformed_json', 'The body is empty; send a JSON object.');
  return parseJson(text, { maxDepth });
}

/** A workflow definition as it arrives, JSON or YAML by the Content-Type. Throws EngineError as readJsonBytes does. */
export async function readDefinitionBody(request: Request, limits: BodyLimits): Promise<DefinitionSource> {
  const mediaType = requireMediaType(request, [JSON_MEDIA_TYPE, YAML_MEDIA_TYPE]);
  const bytes = await readBytes(request, limits);
  return { bytes, format: mediaType === JSON_MEDIA_TYPE ? 'json' : 'yaml' };
}

/** The media type in its usual name. Only UTF-8 and no content coding is taken. */
function requireMediaType(request: Request, accepted: readonly string[]): string {
  const [essence = '', ...parameters] = (request.headers.get('content-type') ?? '').toLowerCase().split(';');
  const written = essence.trim();
  const mediaType = YAML_MEDIA_TYPES.has(written) ? YAML_MEDIA_TYPE : written;
  if (!accepted.includes(mediaType)) {
    const found =
      written === '' ? 'The request has no Content-Type' : `The Content-Type is ${written.slice(0, 100)}`;
    throw new EngineError('unsupported_media_type', `${found}; this call takes ${accepted.join(' or ')}.`);
  }
  const charset = parameters.map((part) => /^\s*charset="?([^"\s]*)"?\s*$/.exec(part)?.[1]).find(Boolean);
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') {
    throw new EngineError(
      'unsupported_media_type',
      `The charset is ${charset.slice(0, 100)}; bodies are UTF-8.`,
    );
  }
  requireNoCoding(request);
  return mediaType;
}

function requireNoCoding(request: Request): void {
  const coding = request.headers.get('content-encoding') ?? 'identity';
  if (coding.toLowerCase() === 'identity') return;
  throw new EngineError(
    'unsupported_media_type',
    `The Content-Encoding is ${coding.slice(0, 100)}; send the body as it is.`,
  );
}

/** Returns the bytes of a body of any type. Throws EngineError: unsupported_media_type, body_too_large. */
export async function readRawBody(request: Request, limits: BodyLimits): Promise<Uint8Array> {
  requireNoCoding(request);
  return readBytes(request, limits);
}

async function readBytes(request: Request, limits: BodyLimits): Promise<Uint8Array> {
  const { maxBytes, ticket } = limits;
  const announced = Number(request.headers.get('content-length') ?? 0);
  if (announced > maxBytes) throw tooLarge(limits);
  const reader = request.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const arrival = awaitArrival(reader, limits.graceMs ?? GRACE_MS, () => size);
  ticket?.arriving(() => arrival.giveUp());
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      size += part.value.byteLength;
      if (size > maxBytes) {
        await reader.cancel();
        throw tooLarge(limits);
      }
      if (!arrival.isLate()) ticket?.reached(size);
      chunks.push(part.value);
    }
  } finally {
    arrival.end();
    ticket?.arrived();
  }
  if (arrival.isLate()) throw tooLate(size);
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size);
}

interface Arrival {
  /** Whether it was given up. */
  isLate(): boolean;
  giveUp(): void;
  end(): void;
}

/** Cancels a body that is too slow: its reader then ends as if the body had. */
function awaitArrival(reader: { cancel(): Promise<void> }, graceMs: number, arrived: () => number): Arrival {
  let isLate = false;
  let before = 0;
  const giveUp = () => {
    isLate = true;
    reader.cancel().catch(() => undefined);
  };
  const timer = setInterval(() => {
    const now = arrived();
    if (now - before < graceMs * BYTES_PER_MS) giveUp();
    before = now;
  }, graceMs);
  return { isLate: () => isLate, giveUp, end: () => clearInterval(timer) };
}

function tooLate(size: number): EngineError {
  return new EngineError(
    'request_timeout',
    `The body arrives too slowly: ${size} bytes of it are here. Nothing was done; send it again.`,
  );
}

function tooLarge({ maxBytes, setting }: BodyLimits): EngineError {
  return new EngineError(
    'body_too_large',
    `The body is larger than the ${maxBytes} bytes that this call takes (${setting}).`,
  );
}
