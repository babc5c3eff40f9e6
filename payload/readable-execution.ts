/**
 * The part of an execution, or of one of its scopes, needed to read its payloads: its identity, and the payloads in memory.
 */
import type { StepError } from '../core/event.ts';
import type { ExecutionView } from '../core/view.ts';
import type { CompiledValue } from '../expression/compiled.ts';
import type { DataReads } from '../expression/data-reads.ts';
import type { KeptPayloads } from './kept-payloads.ts';

/** Payloads of one view. */
export interface PayloadOwner {
  /** Id of the execution. */
  readonly id: string;
  /** Its input and its outputs by slot, as far as they were produced or read in this process. */
  readonly kept: KeptPayloads;
  /** Errors of failed steps by slot, as far as they were produced or read in this process. */
  readonly errors: Map<number, StepError>;
}

export interface ReadableExecution extends PayloadOwner {
  readonly workspaceId: string | null;
  /** Its template, as visible to expressions. */
  readonly version: { readonly name: string; readonly version: number };
  readonly view: ExecutionView;
  readonly scope: {
    /** The output of the view; null: the outputs of its leaves. */
    readonly output: CompiledValue | null;
    readonly outputReads: DataReads;
  };
  /** What the view is inside of; null: nothing, it is the top level, or nothing in it reads further out. */
  readonly around: ReadableExecution | null;
}
