/**
 * Decodes the escapes of a text: those of JSON, JavaScript and others (`\n`, `\"`, `\u00e9`, `\303`), of URLs (`%2F`;
 * `%E9` and `%u20AC` of `escape`) and of HTML (`&quot;`), and bytes of UTF-8 that were read one by one (`Ã©`), one layer
 * after the other, as they may be nested.
 *
 * Each layer knows the places of its characters in the original text, so that a finding in a layer can be replaced
 * there.
 */

export interface Layer {
  readonly text: string;
  /** The place in the original text of each character and of the end; null: the same place. */
  readonly starts: Uint32Array | null;
}

/** Limit of nesting: JSON in JSON in a URL and so on. Deeper nesting does not happen by accident. */
const MAX_LAYERS = 8;

const ESCAPE =
  /\\(?:["'\\/bfnrt]|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]{1,6}\}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-3][0-7]{2})|%u[0-9a-fA-F]{4}|(?:%[0-9a-fA-F]{2})+|&(?:amp|lt|gt|quot|apos|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});|[\xc2-\xf4][\x80-\xbf]{1,3}/g;
const MAY_HOLD_ESCAPES = /[\\%&]|[\xc2-\xf4][\x80-\xbf]/;
/** Length with the backslashes before it, however often it was escaped. */
const LONGEST_ESCAPE = 300;
/** An incomplete escape where a text was cut; a character in several `%XX` may have lost some of them. */
const UNFINISHED =
  /(?:\\+(?:u[0-9a-f]{0,3}|u\{[0-9a-f]{0,6}|U[0-9a-f]{0,7}|x[0-9a-f]?|[0-3][0-7]?)?|%u[0-9a-f]{0,3}|[\xc2-\xf4][\x80-\xbf]{0,2}|(?:%[cd][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f])?|%f[0-9a-f](?:%[89ab][0-9a-f]){0,2})?(?:%[0-9a-f]?)?|&[a-z#0-9]{0,7})$/i;

const BACKSLASHED: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/**
 * Escaped letters and digits, which the usual escaping leaves alone: as bytes (`%61`, `%2561`, `\\141`), as code units
 * (`\\u0061`, `\\x61`, `%u0061`) and by number (`&#97;`, `\\u{61}`).
 */
const ESCAPED_LETTER =
  /\\[01][0-7]{2}|(?:%(?:25)*(?:u00)?|\\(?:u00|u\{0{0,4}|U000000|x))(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA])|&(?:amp;)*#(?:4[89]|5[0-7]|6[5-9]|[789]\d|1[01]\d|12[0-2]|[xX](?:3\d|[46][1-9a-fA-F]|[57][0-9aA]));/;

/** Returns whether a text may hold escaped letters. */
export function mayEscapeLetters(text: string): boolean {
  return ESCAPED_LETTER.test(text);
}

/** Returns the text itself and the text after each layer of escapes; the last has no escapes left. */
export function layersOf(text: string): Layer[] {
  return layersFrom({ text, starts: null }, (layer) => layer);
}

/** Like `layersOf`, for a text whose end was cut off: each layer drops an escape that was cut in two. */
export function layersOfCut(text: string): Layer[] {
  return layersFrom(withoutUnfinished({ text, starts: null }), withoutUnfinished);
}

function withoutUnfinished({ text, starts }: Layer): Layer {
  const begin = Math.max(0, text.length - LONGEST_ESCAPE);
  return { text: text.slice(0, begin) + text.slice(begin).replace(UNFINISHED, ''), starts };
}

function layersFrom(first: Layer, finish: (layer: Layer) => Layer): Layer[] {
  const layers = [first];
  if (!MAY_HOLD_ESCAPES.test(first.text)) return layers;
  while (layers.length < MAX_LAYERS) {
    const next = decodeOnce(layers[layers.length - 1]!);
    if (next === null) break;
    layers.push(finish(next));
  }
  return layers;
}

/** Returns the last layer's text: the same for a text and for all its spellings. */
export function fullyDecoded(text: string): string {
  return layersOf(text).at(-1)!.text;
}

/** Returns the place in the original text of a character of a layer, or of its end. */
export function placeIn({ starts }: Layer, at: number): number {
  return starts === null ? at : starts[at]!;
}

/** Returns the next layer; null: the text has no escapes. */
function decodeOnce(layer: Layer): Layer | null {
  const { text } = layer;
  const writer = new LayerWriter(layer);
  for (const { 0: written, index } of text.matchAll(ESCAPE)) {
    writer.copyUpTo(index);
    decodeEscape(written, index, writer);
  }
  return writer.end();
}

function decodeEscape(written: string, index: number, writer: LayerWriter): void {
  if (written.startsWith('%u')) writer.write(unitOf(written.slice(2), 16), index, written.length);
  else if (written[0] === '%') decodeBytes(written, 3, index, writer);
  else if (written[0] === '&') writer.write(entity(written), index, written.length);
  else if (written[0] === '\\') writer.write(backslashed(written), index, written.length);
  else decodeBytes(written, 1, index, writer);
}

class LayerWriter {
  readonly #from: Layer;
  readonly #starts: Uint32Array;
  #parts: string[] = [];
  #length = 0;
  #copied = 0;
  #changed = false;

  constructor(from: Layer) {
    this.#from = from;
    this.#starts = new Uint32Array(from.text.length + 1);
  }

  copyUpTo(end: number): void {
    this.#parts.push(this.#from.text.slice(this.#copied, end));
    for (let at = this.#copied; at < end; at += 1) this.#starts[this.#length++] = placeIn(this.#from, at);
    this.#copied = end;
  }

  /** Writes the meaning of `length` characters at `index`; null: the characters themselves. */
  write(said: string | null, index: number, length: number): void {
    if (said === null) {
      this.copyUpTo(index + length);
      return;
    }
    this.#parts.push(said);
    for (let unit = 0; unit < said.length; unit += 1)
      this.#starts[this.#length++] = placeIn(this.#from, index);
    this.#copied = index + length;
    this.#changed = true;
  }

  end(): Layer | null {
    if (!this.#changed) return null;
    this.copyUpTo(this.#from.text.length);
    this.#starts[this.#length] = placeIn(this.#from, this.#from.text.length);
    return { text: this.#parts.join(''), starts: this.#starts.subarray(0, this.#length + 1) };
  }
}

function backslashed(written: string): string | null {
  const kind = written[1]!;
  if (written.startsWith('{', 2)) return characterOf(Number.parseInt(written.slice(3), 16));
  if (kind === 'U') return characterOf(Number.parseInt(written.slice(2), 16));
  if (kind === 'u' || kind === 'x') return unitOf(written.slice(2), 16);
  if (written.length === 4) return unitOf(written.slice(1), 8);
  return BACKSLASHED[kind] ?? kind;
}

function unitOf(digits: string, base: number): string {
  return String.fromCharCode(Number.parseInt(digits, base));
}

function characterOf(code: number): string | null {
  return code <= 0x10ffff ? String.fromCodePoint(code) : null;
}

function entity(written: string): string | null {
  const name = written.slice(1, -1);
  if (name[0] !== '#') return NAMED[name]!;
  return characterOf(/^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1)));
}

/**
 * Decodes a run of `%XX`, or of characters that are bytes themselves. A byte that is not UTF-8 is a character of Latin-1.
 *
 * @param width characters of a byte
 */
function decodeBytes(run: string, width: 1 | 3, index: number, writer: LayerWriter): void {
  const bytes = Uint8Array.from({ length: run.length / width }, (_, at) =>
    width === 1 ? run.charCodeAt(at) : Number.parseInt(run.slice(at * 3 + 1, at * 3 + 3), 16),
  );
  for (let at = 0; at < bytes.length; ) {
    const length = Math.max(1, sequenceLength(bytes, at));
    const said = Buffer.from(bytes.subarray(at, at + length)).toString(length === 1 ? 'latin1' : 'utf8');
    writer.write(width === 1 && length === 1 ? null : said, index + at * width, length * width);
    at += length;
  }
}

/** Returns the length of the UTF-8 sequence at a place; 0: there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  const length =
    first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  for (let more = 1; more < length; more += 1) if ((bytes[at + more] ?? 0) >> 6 !== 2) return 0;
  return length;
}
