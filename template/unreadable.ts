/**
 * How long a definition that is not understood here is left to other engines, in milliseconds.
 */
export const UNREADABLE_MS = 30_000;
