/**
 * Reads JSON pointers (RFC 6901).
 */

/** Returns the key that a segment of a pointer means. */
export function segmentKey(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}
