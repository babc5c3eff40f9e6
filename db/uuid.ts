/**
 * Ids of new rows: UUIDv7 (RFC 9562 section 5.7), so that rows written together are adjacent in the index.
 *
 * Own code, not a library: three are made per step, and building them from bytes took a twelfth of the engine's time.
 * The random part is the platform's own `randomUUID`; the 12 bits after the time count within a millisecond
 * (section 6.2, method 1), so ids of one process grow in the order of their creation.
 */
import { randomUUID } from 'node:crypto';

const MAX_IN_ONE_MS = 0xfff;

let lastMs = 0;
let counter = 0;
let prefix = '';

export function newId(): string {
  const now = Date.now();
  if (now > lastMs || counter === MAX_IN_ONE_MS) {
    // The clock went back, or the counter is full: time continues from the last value.
    lastMs = Math.max(now, lastMs + 1);
    counter = 0;
    const hex = lastMs.toString(16).padStart(12, '0');
    prefix = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
  } else {
    counter += 1;
  }
  return prefix + counter.toString(16).padStart(3, '0') + randomUUID().slice(18);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Returns whether a value is a UUID as PostgreSQL writes it (RFC 9562), of any version. */
export function isUuid(value: unknown): boolean {
  return typeof value === 'string' && UUID.test(value);
}
