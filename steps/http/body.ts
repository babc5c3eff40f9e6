/**
 * Bodies of the `http` step: what is sent for a value, and what a response's bytes become.
 *
 * JSON becomes a value and text a string. Bytes that are neither become a base64 string, and the output says so
 * with `encoding`.
 */
import { isObject, type Json } from '../../core/json/json.ts';
import type { HttpReply } from './client.ts';

const JSON_TYPE = /^(?:application\/json|[a-z0-9.+-]+\/[a-z0-9.+-]+\+json)$/;
const TEXT_TYPE =
  /^(?:text\/.*|.*[/+](?:xml|yaml|x-yaml|javascript|ecmascript|graphql|x-ndjson|x-www-form-urlencoded|csv))$/;
const BINARY_TYPE = /^(?:image|audio|video|font|application)\//;
const FORM_TYPE = 'application/x-www-form-urlencoded';

export interface SentBody {
  body: string | null;
  /** For a request that names none itself. */
  contentType: string | null;
}

/** `contentType` is what the author set, if anything. Null and nothing are no body. */
export function encodeBody(value: Json | undefined, contentType: string | undefined): SentBody {
  if (value === undefined || value === null) return { body: null, contentType: null };
  if (typeof value === 'string') return { body: value, contentType: 'text/plain; charset=utf-8' };
  if (isObject(value) && mediaType(contentType) === FORM_TYPE) {
    return { body: queryPairs(value as Record<string, Json>).toString(), contentType: FORM_TYPE };
  }
  return { body: JSON.stringify(value), contentType: 'application/json' };
}

/** Name and value pairs; an array repeats its name, null is left out, objects are JSON. */
export function queryPairs(values: Readonly<Record<string, Json>>): URLSearchParams {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) {
      if (one !== null) pairs.append(name, typeof one === 'object' ? JSON.stringify(one) : String(one));
    }
  }
  return pairs;
}

export interface ReceivedBody {
  body: Json;
  encoding?: 'base64';
}

export function decodeBody(reply: HttpReply): ReceivedBody {
  const header = [reply.headers['content-type']].flat()[0];
  const type = mediaType(header);
  if (JSON_TYPE.test(type)) return { body: parsedJson(reply.body.toString('utf8')) };
  if (TEXT_TYPE.test(type)) return { body: decodedText(reply.body, header) };
  const text = BINARY_TYPE.test(type) && reply.body.length > 0 ? null : strictText(reply.body);
  return text === null ? { body: reply.body.toString('base64'), encoding: 'base64' } : { body: text };
}

function mediaType(header: string | undefined): string {
  return (header ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

function parsedJson(text: string): Json {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, '')) as Json;
  } catch {
    return text;
  }
}

/** Bytes that the charset does not allow become U+FFFD; an unknown charset is read as UTF-8. */
function decodedText(bytes: Buffer, header: string | undefined): string {
  const charset = /;\s*charset="?([^\s";]+)/i.exec(header ?? '')?.[1];
  try {
    return new TextDecoder((charset ?? 'utf-8') as 'utf-8').decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

function strictText(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
