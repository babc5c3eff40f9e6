/**
 * Reads one escape at a place of a text: those of JSON, JavaScript and others (`\n`, `\"`, `\u00e9`, `\303`), of URLs
 * (`%2F`; `%E9` and `%u20AC` of `escape`) and of HTML (`&quot;`), and bytes of UTF-8 that were read one by one (`Ã©`).
 *
 * It looks at characters one by one: a long text may hold an escape at each of its characters.
 */

/** The character that the escape read last stands for. One object, since there may be a million of them. */
export interface Meaning {
  code: number;
}

const BACKSLASH = 0x5c;
const PERCENT = 0x25;
const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;
const MAX_CODE_POINT = 0x10ffff;
/** The highest code of a character that an escape may begin with. */
const LAST_FIRST = 0xf4;

/** Whether an escape may begin with a character, by its code. */
const IS_FIRST = Uint8Array.from({ length: LAST_FIRST + 1 }, (_, code) =>
  code === BACKSLASH || code === PERCENT || code === AMPERSAND || code >= 0xc2 ? 1 : 0,
);
/** Values of hexadecimal digits; 255: it is none. */
const HEX = Uint8Array.from({ length: 128 }, (_, code) => {
  const digit = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(digit) ? 255 : digit;
});
/** Meanings of the letters after a backslash that stand for one character; 0: the letter stands for none. */
const BACKSLASHED = Uint8Array.from({ length: 128 }, (_, code) => {
  const letter = String.fromCharCode(code);
  if ('"\'\\/'.includes(letter)) return code;
  return { b: 8, f: 12, n: 10, r: 13, t: 9 }[letter] ?? 0;
});
const NAMED = [
  ['&amp;', '&'],
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&quot;', '"'],
  ['&apos;', "'"],
] as const;

/** Returns whether an escape may begin with a character of that code. */
export function mayBeginEscape(code: number): boolean {
  return code <= LAST_FIRST && IS_FIRST[code] === 1;
}

/**
 * Reads the escape at a place whose character may begin one. Returns its length; 0: there is none, and the meaning is
 * not set.
 */
export function readEscape(text: string, at: number, meaning: Meaning): number {
  switch (text.charCodeAt(at)) {
    case BACKSLASH:
      return readBackslashed(text, at, meaning);
    case PERCENT:
      return readPercent(text, at, meaning);
    case AMPERSAND:
      return readEntity(text, at, meaning);
    default:
      return readSequence(text, at, byteItself, 1, meaning);
  }
}

function found(meaning: Meaning, code: number, length: number): number {
  if (code > MAX_CODE_POINT) return 0;
  meaning.code = code;
  return length;
}

function readBackslashed(text: string, at: number, meaning: Meaning): number {
  const kind = text.charCodeAt(at + 1);
  const code = kind < 128 ? BACKSLASHED[kind]! : 0;
  if (code > 0) return found(meaning, code, 2);
  switch (kind) {
    case 0x75: // u
      if (text.charCodeAt(at + 2) === 0x7b) return readBraced(text, at, meaning);
      return readDigits(text, at, 2, 4, meaning);
    case 0x55: // U
      return readDigits(text, at, 2, 8, meaning);
    case 0x78: // x
      return readDigits(text, at, 2, 2, meaning);
    default:
      return readOctal(text, at, meaning);
  }
}

/** Reads so many hexadecimal digits after a prefix. */
function readDigits(text: string, at: number, prefix: number, digits: number, meaning: Meaning): number {
  const value = hexAt(text, at + prefix, digits);
  return value < 0 ? 0 : found(meaning, value, prefix + digits);
}

/** Reads `\u{1f600}`. */
function readBraced(text: string, at: number, meaning: Meaning): number {
  const digits = countHex(text, at + 3, 6);
  if (digits === 0 || text.charCodeAt(at + 3 + digits) !== 0x7d) return 0;
  return found(meaning, hexAt(text, at + 3, digits), digits + 4);
}

function readOctal(text: string, at: number, meaning: Meaning): number {
  let value = 0;
  for (let place = 1; place <= 3; place += 1) {
    const digit = text.charCodeAt(at + place) - 0x30;
    if (!(digit >= 0 && digit <= (place === 1 ? 3 : 7))) return 0;
    value = value * 8 + digit;
  }
  return found(meaning, value, 4);
}

function readPercent(text: string, at: number, meaning: Meaning): number {
  if (text.charCodeAt(at + 1) === 0x75) return readDigits(text, at, 2, 4, meaning);
  // A byte that is no UTF-8 is a character of Latin-1.
  return readSequence(text, at, byteOfUrl, 3, meaning) || readDigits(text, at, 1, 2, meaning);
}

function readEntity(text: string, at: number, meaning: Meaning): number {
  if (text.charCodeAt(at + 1) !== 0x23) {
    const named = NAMED.find(([written]) => text.startsWith(written, at));
    return named === undefined ? 0 : found(meaning, named[1].charCodeAt(0), named[0].length);
  }
  const isHex = (text.charCodeAt(at + 2) | 0x20) === 0x78;
  const begin = at + (isHex ? 3 : 2);
  const digits = isHex ? countHex(text, begin, 6) : countDecimals(text, begin, 7);
  if (digits === 0 || text.charCodeAt(begin + digits) !== SEMICOLON) return 0;
  const value = isHex ? hexAt(text, begin, digits) : Number(text.slice(begin, begin + digits));
  return found(meaning, value, begin + digits + 1 - at);
}

type ByteAt = (text: string, at: number) => number;

const byteItself: ByteAt = (text, at) => text.charCodeAt(at);
const byteOfUrl: ByteAt = (text, at) => (text.charCodeAt(at) === PERCENT ? hexAt(text, at + 1, 2) : -1);

/** Reads a sequence of UTF-8, each byte as wide as given; surrogates that were written as such are taken too. */
function readSequence(text: string, at: number, byteAt: ByteAt, width: 1 | 3, meaning: Meaning): number {
  const first = byteAt(text, at);
  if (first < 0x80) return first < 0 ? 0 : found(meaning, first, width);
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  let value = first & (0x7f >> length);
  for (let more = 1; more < length; more += 1) {
    const byte = byteAt(text, at + more * width);
    if (!(byte >= 0x80 && byte < 0xc0)) return 0;
    value = value * 64 + (byte & 0x3f);
  }
  // Less would have taken fewer bytes.
  const least = length === 4 ? 0x10000 : length === 3 ? 0x800 : 0x80;
  return length === 0 || value < least ? 0 : found(meaning, value, length * width);
}

/** Returns the value of so many hexadecimal digits; -1: they are not there. */
function hexAt(text: string, at: number, digits: number): number {
  let value = 0;
  for (let place = at; place < at + digits; place += 1) {
    const code = text.charCodeAt(place);
    const digit = code < 128 ? HEX[code]! : 255;
    if (digit === 255) return -1;
    value = value * 16 + digit;
  }
  return value;
}

function countHex(text: string, at: number, most: number): number {
  let count = 0;
  while (count < most && hexAt(text, at + count, 1) >= 0) count += 1;
  return count;
}

function countDecimals(text: string, at: number, most: number): number {
  let count = 0;
  while (count < most && isDecimal(text.charCodeAt(at + count))) count += 1;
  return count;
}

function isDecimal(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
