/**
 * An execution as its payloads are read: whose they are, and which of them are in memory.
 */
import type { StepError } from '../core/event.ts';
import type { CompiledValue } from '../expression/compiled.ts';
import type { KeptPayloads } from './kept-payloads.ts';

export interface ReadableExecution {
  readonly id: string;
  /** Its template, as expressions see it. */
  readonly version: {
    readonly name: string;
    readonly version: number;
    /** The template's `output`; null: the outputs of its leaves. */
    readonly output: CompiledValue | null;
  };
  /** Its input and its outputs by slot, as far as they were produced or read here. */
  readonly kept: KeptPayloads;
  /** Errors of failed steps by slot, likewise. */
  readonly errors: Map<number, StepError>;
}
