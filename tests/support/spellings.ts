/**
 * Ways to write a secret, for tests of the masker: the names of the ways, and what comes of them one after the other.
 */

/** Ways to write a text as a part of another one. */
export const ESCAPES: Readonly<Record<string, (text: string) => string>> = {
  json: (text) => JSON.stringify(text).slice(1, -1),
  'json with slashes escaped': (text) => JSON.stringify(text).slice(1, -1).replaceAll('/', '\\/'),
  'json in ASCII': (text) =>
    JSON.stringify(text)
      .slice(1, -1)
      .replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  url: encodeURIComponent,
  'url in lower case': (text) => encodeURIComponent(text).replace(/%../g, (byte) => byte.toLowerCase()),
  'a whole url': encodeURI,
  form: (text) => new URLSearchParams([['k', text]]).toString().slice(2),
  html: (text) =>
    text
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      .replaceAll("'", '&#39;'),
  'html by number': (text) => text.replace(/[^A-Za-z0-9 ]/gu, (c) => `&#x${c.codePointAt(0)!.toString(16)};`),
  'url in Latin-1': (text) =>
    text.replace(/[^A-Za-z0-9@*_+./-]/g, (unit) => {
      const code = unit.charCodeAt(0).toString(16).toUpperCase();
      return code.length > 2 ? `%u${code.padStart(4, '0')}` : `%${code.padStart(2, '0')}`;
    }),
  'string of bytes': (text) => escapedBytes(text, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`),
  'string of octal bytes': (text) => escapedBytes(text, (byte) => `\\${byte.toString(8).padStart(3, '0')}`),
  'string of code points': (text) =>
    text.replace(/[^ -[\]-~]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`),
  'bytes read as Latin-1': (text) => Buffer.from(text).toString('latin1'),
};

function escapedBytes(text: string, written: (byte: number) => string): string {
  return [...Buffer.from(text)]
    .map((byte) => (byte < 0x20 || byte > 0x7e || byte === 0x5c ? written(byte) : String.fromCharCode(byte)))
    .join('');
}

/** Ways that a step may write a secret, by name. */
export const SPELLINGS: typeof ESCAPES = {
  json: ESCAPES.json!,
  'json text': (text) => JSON.stringify({ key: text }),
  'json in ASCII': (text) => ESCAPES['json in ASCII']!(text).replaceAll('/', '\\/'),
  url: ESCAPES.url!,
  'url in lower case': ESCAPES['url in lower case']!,
  'whole url': ESCAPES['a whole url']!,
  form: ESCAPES.form!,
  html: ESCAPES.html!,
  'html by number': ESCAPES['html by number']!,
  'url in Latin-1': ESCAPES['url in Latin-1']!,
  'string of bytes': ESCAPES['string of bytes']!,
};

/** Of bytes: these come last, or before an escaping one. */
export const BYTE_SPELLINGS: Readonly<Record<string, (text: string) => string>> = {
  base64: (text) => Buffer.from(text).toString('base64'),
  'base64 after one': (text) => Buffer.from(`G${text}HH`).toString('base64'),
  'base64 after two': (text) => Buffer.from(`GG${text}H`).toString('base64'),
  base64url: (text) => Buffer.from(`G${text}HH`).toString('base64url'),
  hex: (text) => Buffer.from(text).toString('hex'),
  'hex in upper case': (text) => Buffer.from(text).toString('hex').toUpperCase(),
};

/** Of bytes that are found for a secret itself only, not for its escaped forms. */
export const PLAIN_BYTE_SPELLINGS: typeof BYTE_SPELLINGS = {
  'hex of code units': (text) => Buffer.from(text, 'utf16le').swap16().toString('hex'),
  'base64 of code units': (text) => Buffer.from(text, 'utf16le').toString('base64'),
  'base64 in lines': (text) => inLines(Buffer.from(`GGGGG${text}HH`).toString('base64')),
  'base64 twice': (text) => twice(Buffer.from(`GG${text}`)),
  'base64 of html': (text) => Buffer.from(ESCAPES.html!(text)).toString('base64'),
};

/** Lines as short as they may be, so that many secrets are on several of them. */
function inLines(base64: string): string {
  return base64.replace(/.{16}(?=.)/g, '$&\r\n');
}

function twice(bytes: Buffer): string {
  return Buffer.from(`G${bytes.toString('base64')}`).toString('base64');
}

const WAYS = { ...SPELLINGS, ...BYTE_SPELLINGS, ...PLAIN_BYTE_SPELLINGS };

export function write(text: string, names: readonly string[]): string {
  return names.reduce((written, name) => WAYS[name]!(written), text);
}
