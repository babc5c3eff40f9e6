/**
 * The answer of a peer.
 */
import type { StepFailure } from '../step-type.ts';
import type { HttpHeaders } from './exchange.ts';

interface ReplyHead {
  status: number;
  /** Names in lower case; `set-cookie` is an array. */
  headers: HttpHeaders;
}

/** `fault` says why its body could not be read. */
export type HttpReply = ReplyHead & ({ body: Buffer; fault: null } | { body: null; fault: StepFailure });
