/**
 * Bodies of the `http` step: the bytes to send for a value, and the value of a response's bytes.
 *
 * JSON becomes a value and text a string. Bytes that are neither become a base64 string, and the output says so
 * with `encoding`.
 */
import { shownNumber } from '../../core/json/exact-number.ts';
import { isObject, type Json } from '../../core/json/json.ts';
import { type JsonSurvey, quoteInexactNumbers, surveyJson } from '../../core/json/json-survey.ts';
import { parseJsonInPieces } from '../../core/json/parse-in-pieces.ts';
import { findInexactNumbers } from '../../core/json/parse-json.ts';
import { inSlices } from '../../process/in-slices.ts';
import { jsonOf } from '../../process/json-of.ts';
import { StepFailure } from '../step-type.ts';
import { charsetOf, decodeText, encodeText, isCharset, strictText } from './charset.ts';

/** Bytes of JSON that are parsed within some milliseconds. */
const MAX_LIGHT_BYTES = 128 * 1_024;
const JSON_TYPE = /^(?:application\/json|[a-z0-9.+-]+\/[a-z0-9.+-]+\+json)$/;
const TEXT_TYPE =
  /^(?:text\/.*|.*[/+](?:xml|yaml|x-yaml|javascript|ecmascript|graphql|x-ndjson|x-www-form-urlencoded|csv))$/;
const BINARY_TYPE = /^(?:image|audio|video|font|application)\//;
const FORM_TYPE = 'application/x-www-form-urlencoded';

export interface SentBody {
  body: Buffer | null;
  /** The content type of a request that names none. */
  contentType: string | null;
}

/**
 * `contentType` is the one that the author set, if any. Null and undefined send no body. Throws StepFailure
 * `http_invalid_request` for a character that the charset of the content type lacks.
 */
export async function encodeBody(
  value: Json | undefined,
  contentType: string | undefined,
): Promise<SentBody> {
  if (value === undefined || value === null) return { body: null, contentType: null };
  const charset = charsetOf(contentType) ?? 'utf-8';
  if (typeof value === 'string') {
    return { body: inCharset(value, charset), contentType: 'text/plain; charset=utf-8' };
  }
  if (isObject(value) && mediaType(contentType) === FORM_TYPE) {
    const pairs = queryPairs(value as Record<string, Json>);
    for (const pair of pairs) for (const text of pair) requireSameAsUtf8(text, charset);
    return { body: inCharset(pairs.toString(), charset), contentType: FORM_TYPE };
  }
  const json = (await jsonOf(value))!;
  return {
    body: encodeText(json, charset) ?? inCharset(escaped(json), charset),
    contentType: 'application/json',
  };
}

/** The same JSON in ASCII. */
function escaped(json: string): string {
  return json.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function inCharset(text: string, charset: string): Buffer {
  const bytes = encodeText(text, charset);
  if (bytes !== null) return bytes;
  const why = isCharset(charset) ? 'does not have every character of the body' : 'is not known';
  throw new StepFailure(
    'http_invalid_request',
    `the charset of the Content-Type ${why}: give it charset=utf-8, or none`,
  );
}

/** The characters of a form are percent-encoded as UTF-8. */
function requireSameAsUtf8(text: string, charset: string): void {
  if (encodeText(text, charset)?.equals(Buffer.from(text)) === true) return;
  throw new StepFailure(
    'http_invalid_request',
    'a form is sent in UTF-8, which is not the charset of its Content-Type: leave the charset out',
  );
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

/** The treatment of numbers in JSON that would not keep their value. */
export type BigNumbers = 'fail' | 'text';

/** Throws StepFailure `number_not_exact` with `fail`. */
export function decodeBody(
  bytes: Buffer,
  contentType: string | undefined,
  bigNumbers: BigNumbers,
): ReceivedBody {
  const type = mediaType(contentType);
  const charset = charsetOf(contentType);
  if (JSON_TYPE.test(type)) return { body: parsedJson(decodeText(bytes, charset), bigNumbers) };
  if (TEXT_TYPE.test(type)) return { body: decodeText(bytes, charset) };
  const text = BINARY_TYPE.test(type) && bytes.length > 0 ? null : strictText(bytes);
  return text === null ? { body: bytes.toString('base64'), encoding: 'base64' } : { body: text };
}

/** As decodeBody; a large JSON text is parsed in slices of the event loop's time. */
export async function decodeOutput(
  bytes: Buffer,
  contentType: string | undefined,
  bigNumbers: BigNumbers,
): Promise<ReceivedBody> {
  if (bytes.length <= MAX_LIGHT_BYTES || !JSON_TYPE.test(mediaType(contentType)))
    return decodeBody(bytes, contentType, bigNumbers);
  const text = decodeText(bytes, charsetOf(contentType));
  const inexact: number[] = [];
  const survey = (piece: string, start: number) => {
    for (const at of surveyJson(piece, Number.POSITIVE_INFINITY).inexact) inexact.push(start + at);
  };
  const body = await inSlices(parseJsonInPieces(text, survey)).catch(() => text);
  if (inexact.length === 0 || body === text) return { body };
  if (bigNumbers === 'fail') throw inexactNumber(text, inexact, null);
  return { body: await inSlices(parseJsonInPieces(quoteInexactNumbers(text, { inexact }))) };
}

function mediaType(header: string | undefined): string {
  return (header ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

function parsedJson(text: string, bigNumbers: BigNumbers): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return text;
  }
  const survey = surveyJson(text, Number.POSITIVE_INFINITY);
  if (survey.inexact.length === 0) return value;
  if (bigNumbers === 'fail') throw numberFailure(text, survey);
  return JSON.parse(quoteInexactNumbers(text, survey)) as Json;
}

function numberFailure(text: string, { inexact }: JsonSurvey): StepFailure {
  const [problem] = findInexactNumbers(text, Number.POSITIVE_INFINITY).problems;
  return inexactNumber(text, inexact, problem?.pointer ?? null);
}

/** @param pointer place of the first one; null: unknown */
function inexactNumber(text: string, [start, end]: readonly number[], pointer: string | null): StepFailure {
  const where = pointer === null ? '' : ` at ${pointer || 'its top'}`;
  return new StepFailure(
    'number_not_exact',
    `the answer has the number ${shownNumber(text.slice(start, end))}${where}, which would not keep its value: with bigNumbers: text it becomes text`,
    { details: { pointer } },
  );
}
