/**
 * Ids of new rows: UUIDv7 (RFC 9562 section 5.7), so that rows written together lie together in the index.
 */
import { v7 } from 'uuid';

export function newId(): string {
  return v7();
}
