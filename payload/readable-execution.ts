/**
 * An execution as its payloads are read: whose they are, and what of them is in memory. The door's actors are such.
 */
import type { StepError } from '../core/event.ts';
import type { CompiledValue } from '../expression/compiled-value.ts';
import type { KeptPayloads } from './kept-payloads.ts';

export interface ReadableExecution {
  readonly id: string;
  /** What its expressions call `execution.template` and `execution.version`; null until it was loaded. */
  readonly version: {
    readonly name: string;
    readonly version: number;
    /** The template's `output`; null: the outputs of its leaves. */
    readonly output: CompiledValue | null;
  } | null;
  /** Its input and its outputs by position, as far as they were produced or read here. */
  readonly kept: KeptPayloads;
  /** Errors of failed steps by position, likewise. */
  readonly errors: Map<number, StepError>;
}
