/**
 * The spellings of a secret: itself, its lines, and its bytes as base64 and hexadecimal.
 *
 * Spellings that escape single characters (JSON, URLs, HTML) are not listed: the text is decoded instead (decode.ts).
 * Bytes are listed for a secret and for its escaped forms, such as the base64 of a JSON text that holds
 * it, at each of the three places where a secret may begin within a group of base64.
 */
import { fullyDecoded } from './decode.ts';

/** A text that reveals a secret. */
export interface Spelling {
  readonly text: string;
  /** The fully decoded form; `+` counts as the space it may stand for. */
  readonly decoded: string;
  /** Adjacent characters that hold some of its bits. */
  readonly before: number;
  readonly after: number;
  /** The fewest first characters that reveal something. */
  readonly least: number;
}

/** Shorter parts of a secret would mask unrelated text. */
const SHORTEST_LINE = 8;
/** Fewer characters of base64 or hexadecimal cover about one or two characters of the secret. */
const SHORTEST_CODED = 4;

export function spellingsOf(secret: string): Spelling[] {
  if (secret === '') return [];
  const found = new Map<string, Spelling>();
  for (const text of [secret, ...linesOf(secret)])
    found.set(text, { text, decoded: comparable(fullyDecoded(text)), before: 0, after: 0, least: 1 });
  for (const form of formsOf(secret)) {
    const bytes = Buffer.from(form, 'utf8');
    for (const coded of [...hexOf(bytes), ...base64Of(bytes)])
      if (!found.has(coded.text)) found.set(coded.text, coded);
  }
  return [...found.values()];
}

/** Returns the form in which decoded texts are compared. */
export function comparable(text: string): string {
  return text.replaceAll('+', ' ');
}

/** Returns the lines of a secret: a key in several lines is often shown line by line. */
function linesOf(secret: string): string[] {
  if (!/[\r\n]/.test(secret)) return [];
  return secret
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line.length >= SHORTEST_LINE);
}

/**
 * Returns the forms found in texts that are turned into bytes: other languages write JSON in ASCII, or escape
 * slashes.
 */
function formsOf(secret: string): Set<string> {
  const text = secret.toWellFormed();
  const json = inJson(text);
  const ascii = json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const form = new URLSearchParams([['', text]]).toString().slice(1);
  const slashes = json.replaceAll('/', '\\/');
  return new Set([text, json, ascii, slashes, inJson(json), encodeURIComponent(text), form]);
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

function hexOf(bytes: Buffer): Spelling[] {
  const hex = bytes.toString('hex');
  return [hex, hex.toUpperCase()].map((text) => coded(text, 0, 0));
}

function base64Of(bytes: Buffer): Spelling[] {
  return [0, 1, 2].flatMap((place) => {
    const text = Buffer.concat([Buffer.alloc(place), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // A character that shares its bits with a byte before or after the secret varies.
    const head = place === 0 ? 0 : place + 1;
    const shared = (place + bytes.length) % 3 === 0 ? 0 : 1;
    const whole = text.slice(head, text.length - shared);
    const url = whole.replaceAll('+', '-').replaceAll('/', '_');
    return [whole, url].map((spelling) => coded(spelling, place === 0 ? 0 : 1, shared));
  });
}

function coded(text: string, before: number, after: number): Spelling {
  return { text, decoded: comparable(text), before, after, least: SHORTEST_CODED };
}
