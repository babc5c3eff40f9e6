/**
 * Charsets of bodies: the one that a `Content-Type` names, text from bytes, and bytes from text.
 *
 * Names are those of the WHATWG Encoding Standard, as in browsers.
 */

/** The charset that a `Content-Type` names, lower case; null when it names none. */
export function charsetOf(contentType: string | undefined): string | null {
  const name = /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;"]*))/i.exec(contentType ?? '');
  return (name?.[1] ?? name?.[2])?.trim().toLowerCase() || null;
}

/** Returns whether a name is the name of a charset. */
export function isCharset(name: string): boolean {
  return decoderOf(name) !== null;
}

/**
 * The text of a body. A byte order mark takes precedence over the charset. An unknown charset is read as UTF-8; bytes
 * that the charset does not allow become U+FFFD.
 */
export function decodeText(bytes: Buffer, charset: string | null): string {
  return (decoderOf(markedCharset(bytes) ?? charset ?? 'utf-8') ?? new TextDecoder()).decode(bytes);
}

/** Null when the bytes are not UTF-8. */
export function strictText(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** The bytes of a text; null when the charset is unknown or does not have one of its characters. */
export function encodeText(text: string, charset: string): Buffer | null {
  switch (charset) {
    case 'us-ascii':
    case 'ascii':
      return singleBytes(text, (code) => (code < 0x80 ? code : undefined));
    // Browsers take it for windows-1252, whose characters from 0x80 to 0x9f are others.
    case 'iso-8859-1':
    case 'latin1':
      return singleBytes(text, (code) => (code < 0x100 ? code : undefined));
    case 'utf-16':
      return Buffer.from(`\uFEFF${text}`, 'utf16le');
    case 'utf-16le':
      return Buffer.from(text, 'utf16le');
    case 'utf-16be':
      return Buffer.from(text, 'utf16le').swap16();
  }
  const decoder = decoderOf(charset);
  if (decoder === null) return null;
  if (decoder.encoding === 'utf-8') return Buffer.from(text);
  return /^utf-16/.test(decoder.encoding) ? null : bySingleBytes(text, charset);
}

/** By the table of a charset that has a byte for each character; of any other only what fits into it. */
function bySingleBytes(text: string, charset: string): Buffer | null {
  const byteOf = new Map<number, number>();
  for (let byte = 0; byte < 0x100; byte++) {
    const character = decoderOf(charset)!.decode(Uint8Array.of(byte));
    if (character.length === 1 && character !== '\uFFFD') byteOf.set(character.charCodeAt(0), byte);
  }
  return singleBytes(text, (code) => byteOf.get(code));
}

function singleBytes(text: string, byteOf: (code: number) => number | undefined): Buffer | null {
  const bytes = Buffer.alloc(text.length);
  for (let at = 0; at < text.length; at++) {
    const byte = byteOf(text.charCodeAt(at));
    if (byte === undefined) return null;
    bytes[at] = byte;
  }
  return bytes;
}

function markedCharset(bytes: Buffer): string | null {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 'utf-8' : null;
}

function decoderOf(charset: string): TextDecoder | null {
  try {
    return new TextDecoder(charset as 'utf-8');
  } catch {
    return null;
  }
}
