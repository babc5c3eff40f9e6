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
};

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

export function write(text: string, names: readonly string[]): string {
  return names.reduce((written, name) => (SPELLINGS[name] ?? BYTE_SPELLINGS[name])!(written), text);
}
