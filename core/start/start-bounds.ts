/**
 * The bounds of a start request: one set for the API (api/execution/bodies.ts) and for SQL (db/functions/), whose
 * functions get them filled in. Lengths are in characters.
 */
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
   * Scheme, host and port of a callback, in any case; the port is the first group. The API and SQL both check more
   * than this.
   */
  callbackPattern: '^https?://(?:[^/?#@\\\\\\s:\\[\\]<>^|%]+|\\[[0-9a-f:.]+\\])(?::([0-9]*))?(?:[/?#]\\S*)?$',
} as const;
