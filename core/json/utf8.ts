/**
 * Bytes from outside as text.
 */
import { EngineError, type ErrorCode } from '../problem.ts';

/** The text of a body in UTF-8. @throws EngineError with the code when it is none */
export function decodeUtf8(bytes: Uint8Array, code: ErrorCode): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new EngineError(code, 'The body is not valid UTF-8.');
  }
}
