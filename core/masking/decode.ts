/**
 * Decodes the escapes of a text: those of JSON and JavaScript (`\n`, `\"`, `\u00e9`), of URLs (`%2F`) and of HTML
 * (`&quot;`), one layer after the other, as they may be nested.
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
  /\\(?:["'\\/bfnrt]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})|(?:%[0-9a-fA-F]{2})+|&(?:amp|lt|gt|quot|apos|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});/g;
const MAY_HOLD_ESCAPES = /[\\%&]/;
/** Length with the backslashes before it, however often it was escaped. */
const LONGEST_ESCAPE = 300;
/** An incomplete escape where a text was cut; a character in several `%XX` may have lost some of them. */
const UNFINISHED =
  /(?:\\+(?:u[0-9a-f]{0,3}|x[0-9a-f]?)?|(?:%[cd][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f])?|%f[0-9a-f](?:%[89ab][0-9a-f]){0,2})?(?:%[0-9a-f]?)?|&[a-z#0-9]{0,7})$/i;

const BACKSLASHED: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/**
 * Escaped letters and digits, which the usual escaping leaves alone: as bytes (`%61`, `%2561`), as code units
 * (`\\u0061`, `\\x61`) and by number (`&#97;`).
 */
const ESCAPED_LETTER =
  /(?:%(?:25)*|\\(?:u00|x))(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA])|&(?:amp;)*#(?:4[89]|5[0-7]|6[5-9]|[789]\d|1[01]\d|12[0-2]|[xX](?:3\d|[46][1-9a-fA-F]|[57][0-9aA]));/;

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
    if (written[0] === '%') decodePercent(written, index, writer);
    else writer.write(written[0] === '&' ? entity(written) : backslashed(written), index, written.length);
  }
  return writer.end();
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

function backslashed(written: string): string {
  const kind = written[1]!;
  if (kind === 'u' || kind === 'x') return String.fromCharCode(Number.parseInt(written.slice(2), 16));
  return BACKSLASHED[kind] ?? kind;
}

function entity(written: string): string | null {
  const name = written.slice(1, -1);
  if (name[0] !== '#') return NAMED[name]!;
  const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
  return code <= 0x10ffff ? String.fromCodePoint(code) : null;
}

/** Decodes a run of `%XX`; bytes that are not UTF-8 stay as they are. */
function decodePercent(run: string, index: number, writer: LayerWriter): void {
  const bytes = Uint8Array.from({ length: run.length / 3 }, (_, at) =>
    Number.parseInt(run.slice(at * 3 + 1, at * 3 + 3), 16),
  );
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    const said = length === 0 ? null : Buffer.from(bytes.subarray(at, at + length)).toString('utf8');
    writer.write(said, index + at * 3, Math.max(1, length) * 3);
    at += Math.max(1, length);
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
