/**
 * The spellings of a secret: itself, its lines, its digits as a number, its form as a name of a host or a header, and its
 * bytes as base64 and hexadecimal.
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
  /** Whether it is of bytes, which may be wrapped into lines. */
  readonly isCoded: boolean;
}

/** Shorter parts of a secret would mask unrelated text. */
const MIN_PART = 8;
/** The beginning of every name with other letters than those of ASCII. */
const PUNYCODE = 'xn--';
/** Fewer characters of base64 or hexadecimal cover about one or two characters of the secret. */
const MIN_CODED = 4;

export function spellingsOf(secret: string): Spelling[] {
  if (secret === '') return [];
  const found = new Map<string, Spelling>();
  for (const text of [secret, ...linesOf(secret), ...numbersOf(secret), ...namesOf(secret)]) {
    const decoded = comparable(fullyDecoded(text));
    const least = text.startsWith(PUNYCODE) ? PUNYCODE.length + MIN_CODED : 1;
    found.set(text, { text, decoded, before: 0, after: 0, least, isCoded: false });
  }
  const once = bytesOf(secret).flatMap((bytes) => [...hexOf(bytes), ...base64Of(bytes)]);
  for (const coded of [...once, ...codedTwice(Buffer.from(secret.toWellFormed()))])
    if (coded.text.length >= MIN_CODED && !found.has(coded.text)) found.set(coded.text, coded);
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
    .filter((line) => line.length >= MIN_PART);
}

/** Returns the numbers that a secret or its digits become, as they are written: `0012345678`, `1234-5678`, `12345678ab`. */
function numbersOf(secret: string): string[] {
  const digits = secret.replace(/\D/g, '');
  const numbers = [Number(secret), Number.parseFloat(secret), Number(digits)].map((number) =>
    Math.abs(number),
  );
  const written = [digits, ...numbers.map(String)];
  return written.filter((text) => /^\d/.test(text) && significantDigits(text) >= MIN_PART);
}

function significantDigits(number: string): number {
  return number
    .replace(/e.*/, '')
    .replace('.', '')
    .replace(/^0+|0+$/g, '').length;
}

/** Returns the forms that a secret takes as the name of a host or a header: in lower case, in punycode, as an address. */
function namesOf(secret: string): string[] {
  const url = URL.parse(`http://${secret}`);
  const host = url !== null && url.href === `http://${url.hostname}/` ? [url.hostname] : [];
  return [secret.toLowerCase(), ...host].filter((name) => name !== secret && name.length >= MIN_PART);
}

/** Returns the bytes that stand for a secret in other encodings than UTF-8 too, and of its escaped forms in UTF-8. */
function bytesOf(secret: string): Buffer[] {
  const units = Buffer.from(secret, 'utf16le');
  const inLatin1 = /^[\0-\xff]*$/.test(secret) ? [Buffer.from(secret, 'latin1')] : [];
  const inUtf8 = [...formsOf(secret)].map((form) => Buffer.from(form, 'utf8'));
  return [...inUtf8, ...inLatin1, units, Buffer.from(units).swap16()];
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
  const html = QUOTES_IN_HTML.map(([double, single]) => inHtml(text, double, single));
  return new Set([text, json, ascii, slashes, inJson(json), encodeURIComponent(text), form, ...html]);
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** Ways in which libraries write quotes. */
const QUOTES_IN_HTML = [
  ['"', "'"],
  ['&quot;', "'"],
  ['&quot;', '&#39;'],
  ['&quot;', '&#039;'],
  ['&quot;', '&#x27;'],
  ['&quot;', '&apos;'],
  ['&#34;', '&#39;'],
] as const;

function inHtml(text: string, double: string, single: string): string {
  const tags = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return tags.replaceAll('"', double).replaceAll("'", single);
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

/** Returns base64 of base64, at each of the three places. A shared character of the inner one takes up to two. */
function codedTwice(bytes: Buffer): Spelling[] {
  return base64Of(bytes).flatMap(({ text, before, after }) =>
    base64Of(Buffer.from(text)).map((outer) =>
      coded(outer.text, outer.before + 2 * before, outer.after + 2 * after),
    ),
  );
}

function coded(text: string, before: number, after: number): Spelling {
  return { text, decoded: comparable(text), before, after, least: MIN_CODED, isCoded: true };
}
