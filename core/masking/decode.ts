/**
 * Decodes the escapes of a text (escape.ts), one layer after the other, as they may be nested.
 *
 * Each layer knows the places of its characters in the original text, so that a finding in a layer can be replaced
 * there.
 *
 * Invariant: the work is bounded by the length of the text, and pauses after each piece of it.
 */
import { PIECE, type Pieces, runToEnd } from '../pieces.ts';
import { type Meaning, mayBeginEscape, readEscape } from './escape.ts';

export interface Layer {
  readonly text: string;
  /** The place in the original text of each character and of the end; null: the same place. */
  readonly starts: Uint32Array | null;
}

/** Limit of nesting: JSON in JSON in a URL and so on. Deeper nesting does not happen by accident. */
export const MAX_LAYERS = 8;

/** An unfinished escape is no longer, without the backslashes before it. */
const LONGEST_UNFINISHED = 16;
/** An incomplete escape where a text was cut; a character in several `%XX` may have lost some of them. */
const UNFINISHED =
  /(?:\\(?:u[0-9a-f]{0,3}|u\{[0-9a-f]{0,6}|U[0-9a-f]{0,7}|x[0-9a-f]?|[0-3][0-7]?)?|%u[0-9a-f]{0,3}|[\xc2-\xf4][\x80-\xbf]{0,2}|(?:%[cd][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f])?|%f[0-9a-f](?:%[89ab][0-9a-f]){0,2})?(?:%[0-9a-f]?)?|&[a-z#0-9]{0,7})$/i;

/**
 * Escaped letters and digits, which the usual escaping leaves alone: as bytes (`%61`, `%2561`, `\\141`), as code units
 * (`\\u0061`, `\\x61`, `%u0061`) and by number (`&#97;`, `\\u{61}`). An escape of more layers than are decoded is none.
 */
const ESCAPED_LETTER =
  /\\[01][0-7]{2}|(?:%(?:25){0,8}(?:u00)?|\\(?:u00|u\{0{0,4}|U000000|x))(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA])|&(?:amp;){0,8}#(?:4[89]|5[0-7]|6[5-9]|[789]\d|1[01]\d|12[0-2]|[xX](?:3\d|[46][1-9a-fA-F]|[57][0-9aA]));/;
/** Nothing that it matches is longer. */
export const MAX_ESCAPED_LETTER = 64;

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
  const begin = Math.max(0, text.length - LONGEST_UNFINISHED);
  let end = begin + text.slice(begin).search(UNFINISHED);
  // It may have been escaped several times.
  if (text[end] === '\\') while (text[end - 1] === '\\') end -= 1;
  return { text: text.slice(0, end), starts };
}

function layersFrom(first: Layer, finish: (layer: Layer) => Layer): Layer[] {
  const layers = [first];
  while (layers.length < MAX_LAYERS) {
    const next = runToEnd(decodeOnce(layers[layers.length - 1]!));
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
export function* decodeOnce(layer: Layer): Pieces<Layer | null> {
  const decoder = new LayerDecoder(layer);
  const { length } = layer.text;
  for (let until = PIECE; until < length; until += PIECE) {
    decoder.decode(until);
    yield;
  }
  decoder.decode(length);
  return decoder.end();
}

class LayerDecoder {
  readonly #from: Layer;
  /** The place up to which the text is decoded. */
  #at = 0;
  /** Null until the first escape. */
  #writer: LayerWriter | null = null;
  readonly #meaning: Meaning = { code: 0 };

  constructor(from: Layer) {
    this.#from = from;
  }

  /** Decodes what begins before a place. */
  decode(until: number): void {
    const { text } = this.#from;
    const meaning = this.#meaning;
    let at = this.#at;
    while (at < until) {
      if (!mayBeginEscape(text.charCodeAt(at))) {
        at += 1;
        continue;
      }
      const length = readEscape(text, at, meaning);
      if (length > 0) {
        this.#writer ??= new LayerWriter(this.#from);
        this.#writer.copyUpTo(at);
        this.#writer.write(meaning.code, length);
      }
      at += Math.max(1, length);
    }
    this.#writer?.copyUpTo(at);
    this.#at = at;
  }

  end(): Layer | null {
    return this.#writer?.end() ?? null;
  }
}

/** Writes a layer that is no longer than the one before it, from its beginning to its end. */
export class LayerWriter {
  readonly #from: Layer;
  readonly #units: Uint16Array;
  readonly #starts: Uint32Array;
  #length = 0;
  /** The place in the layer before that is written next. */
  #at = 0;

  constructor(from: Layer) {
    this.#from = from;
    this.#units = new Uint16Array(from.text.length);
    this.#starts = new Uint32Array(from.text.length + 1);
  }

  /** Writes the characters up to a place as they are. */
  copyUpTo(end: number): void {
    const { text, starts } = this.#from;
    const units = this.#units;
    const ownStarts = this.#starts;
    let length = this.#length;
    for (let at = this.#at; at < end; at += 1) {
      units[length] = text.charCodeAt(at);
      ownStarts[length] = starts === null ? at : starts[at]!;
      length += 1;
    }
    this.#length = length;
    this.#at = end;
  }

  /** Writes a character that stands for the next `length` ones. */
  write(character: number, length: number): void {
    if (character > 0xffff) {
      this.#put(0xd800 + ((character - 0x10000) >> 10));
      this.#put(0xdc00 + ((character - 0x10000) & 0x3ff));
    } else this.#put(character);
    this.#at += length;
  }

  /** Leaves out the characters up to a place. */
  skipTo(place: number): void {
    this.#at = place;
  }

  #put(unit: number): void {
    this.#units[this.#length] = unit;
    this.#starts[this.#length] = placeIn(this.#from, this.#at);
    this.#length += 1;
  }

  end(): Layer {
    const { buffer } = this.#units;
    this.#starts[this.#length] = placeIn(this.#from, this.#from.text.length);
    const text = Buffer.from(buffer, 0, this.#length * 2).toString('utf16le');
    return { text, starts: this.#starts.subarray(0, this.#length + 1) };
  }
}
