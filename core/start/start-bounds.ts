/**
 * The bounds of a start request: one set for the API (api/execution/bodies.ts) and for SQL (db/functions/), whose
 * functions get them filled in. Lengths are in characters.
 */
const BYTE = '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const IPV4 = `${BYTE}(?:\\.${BYTE}){3}`;
const ENDS_IN_NUMBER = '(?:[^/?#:]*\\.)?(?:[0-9]+|0x[0-9a-f]*)\\.?(?:[:/?#]|$)';

export const START_BOUNDS = {
  /** Pattern of a template's name, with the same meaning in JavaScript and PostgreSQL. */
  templatePattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$',
  maxVersion: 2_147_483_647,
  maxKeyLength: 255,
  maxTags: 64,
  maxTagLength: 128,
  /** Timers go before executions of any priority: see the queue. */
  maxPriority: 1_000_000,
  maxDelayMs: 3650 * 86_400_000,
  maxCallbackLength: 2_048,
  /**
   * A callback, in any case; the first group is an IPv6 address, which both check further, the second the port. A host
   * whose last part is a number is an IPv4 address in four parts. Names are judged no further: only IDNA tells which
   * letters and which `xn--` stand for one, and SQL has none of it.
   */
  callbackPattern: `^https?://(?:${IPV4}|(?!${ENDS_IN_NUMBER})[^/?#@\\\\\\s:\\[\\]<>^|%\\u0001-\\u001f\\u007f\\u3002\\uff0e\\uff61]+|\\[([0-9a-f:.]+)\\])(?::([0-9]*))?(?:[/?#]\\S*)?$`,
} as const;
