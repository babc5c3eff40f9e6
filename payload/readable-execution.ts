/**
 * The part of an execution needed to read its payloads: its identity, and the payloads in memory.
 */
import type { StepError } from '../core/event.ts';
import type { CompiledValue } from '../expression/compiled.ts';
import type { KeptPayloads } from './kept-payloads.ts';

export interface ReadableExecution {
  readonly id: string;
  readonly workspaceId: string | null;
  /** Its template, as visible to expressions. */
  readonly version: {
    readonly name: string;
    readonly version: number;
    /** The template's `output`; null: the outputs of its leaves. */
    readonly output: CompiledValue | null;
  };
  /** Its input and its outputs by slot, as far as they were produced or read in this process. */
  readonly kept: KeptPayloads;
  /** Errors of failed steps by slot, as far as they were produced or read in this process. */
  readonly errors: Map<number, StepError>;
}
