/**
 * Decodes bytes from outside to text.
 */
import { EngineError, type ErrorCode } from '../problem.ts';

/** Returns a UTF-8 body as text. @throws EngineError with the code when it is not UTF-8 */
export function decodeUtf8(bytes: Uint8Array, code: ErrorCode): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new EngineError(code, 'The body is not valid UTF-8.');
  }
}
