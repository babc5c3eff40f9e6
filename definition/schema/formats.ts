/**
 * The `format`s that are checked: those of ajv-formats, each in linear time.
 *
 * An unknown format is a hint for people and tools and is not checked. Not here: `regex`, whose work is counted.
 */
import { fastFormats, fullFormats } from 'ajv-formats/dist/formats.js';

const WEB_PROTOCOLS: ReadonlySet<string> = new Set(['http:', 'https:', 'ftp:']);

function isWebUrl(text: string): boolean {
  return URL.canParse(text) && WEB_PROTOCOLS.has(new URL(text).protocol);
}

export const FORMATS = {
  ...fastFormats,
  // The fast ones let 2024-02-31 pass; these are functions over a linear pattern.
  date: fullFormats.date,
  time: fullFormats.time,
  'date-time': fullFormats['date-time'],
  'iso-time': fullFormats['iso-time'],
  'iso-date-time': fullFormats['iso-date-time'],
  url: isWebUrl,
};
