/**
 * Requests and answers about signals, in the field names of the API.
 */
import type { Json } from '../core/json/json.ts';
import type { ExecutionStatus } from '../core/status.ts';
import type { Caller } from './caller.ts';

export interface SignalBody {
  execution_id: string;
  signal: string;
  payload?: Json | undefined;
  signal_id?: string | undefined;
  scope?: string | undefined;
}

export interface SignalledBody {
  execution_id: string;
  status: ExecutionStatus;
  /** Whether the execution had the signal_id already: nothing was sent. */
  duplicate: boolean;
  /** Whether no step waited for the signal when it was sent: it is kept for one that will. */
  kept: boolean;
}

export interface SignalServicePort {
  send(caller: Caller, body: SignalBody): Promise<SignalledBody>;
}
