/**
 * A definition as it arrives: unchecked bytes of JSON or YAML.
 */
import { decodeUtf8 } from '../core/json/utf8.ts';
import { EngineError } from '../core/problem.ts';
import { type DocumentFormat, type DocumentLimits, parseDocument } from './document.ts';

export interface DefinitionSource {
  readonly bytes: Uint8Array;
  readonly format: DocumentFormat;
}

/**
 * The document of a source. Throws EngineError as `parseDocument` does, and `malformed_json` or `malformed_yaml` for
 * bytes that are empty or not UTF-8.
 */
export function parseSource({ bytes, format }: DefinitionSource, limits: DocumentLimits): unknown {
  const code = format === 'json' ? 'malformed_json' : 'malformed_yaml';
  const text = decodeUtf8(bytes, code);
  if (text.trim() === '') throw new EngineError(code, 'The body is empty; send a workflow definition.');
  return parseDocument(text, format, limits);
}
