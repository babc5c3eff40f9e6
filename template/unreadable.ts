/**
 * Milliseconds for which a definition that this engine cannot read is left to other engines.
 */
export const UNREADABLE_MS = 30_000;
