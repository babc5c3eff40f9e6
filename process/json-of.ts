/**
 * Writes a value as JSON: at once when that takes some milliseconds, otherwise in slices of the event loop's time.
 */
import { isLightValue, writeJsonInPieces } from '../core/json/write-in-pieces.ts';
import { inSlices } from './in-slices.ts';

/** Returns undefined for a value that JSON does not have. */
export function jsonOf(value: unknown): string | undefined | Promise<string | undefined> {
  return isLightValue(value) ? JSON.stringify(value) : inSlices(writeJsonInPieces(value));
}
