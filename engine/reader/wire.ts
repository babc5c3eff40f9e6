/**
 * Messages between the engine and a reader process, as frame headers; texts travel in the body.
 */
import type { ErrorCode, Problem } from '../../core/problem.ts';
import type { DocumentFormat } from '../../definition/document.ts';
import type { Judgement } from '../../definition/judgement.ts';
import type { SchemaFault } from '../../definition/schema/checker.ts';
import type { StartItem } from '../../services/execution-answers.ts';
import type { ReadDefinition, Reading } from '../../template/reading.ts';
import type { HostSetup } from '../../worker/hosts/wire.ts';

/** The set-up of a reader: the step types, and the limits of requests. */
export interface ReaderSetup
  extends Pick<HostSetup, 'modules' | 'http' | 'mail' | 'publicUrl' | 'agent' | 'script'> {
  /** Only names: the values stay in the engine. Null: unknown, so definitions may name any. */
  readonly secretNames: readonly string[] | null;
  readonly maxSteps: number;
  readonly maxLoopIterations: number;
  readonly maxDepth: number;
  readonly maxDefinitionBytes: number;
  readonly maxStarts: number;
}

/** A request; the body is the text to read. */
export type ReaderRequest =
  | { readonly kind: 'definition'; readonly format: DocumentFormat }
  /** A definition as it is stored. */
  | { readonly kind: 'stored' }
  /** The body of a call. */
  | { readonly kind: 'start' | 'start-many' }
  /** The body begins with the schema, whose length this is; 0: it was sent before. */
  | { readonly kind: 'inputs'; readonly schema: string; readonly schemaBytes: number };

/** An EngineError in transit. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly problems: readonly Problem[];
}

/** Answers by the kind of the request. */
export interface ReaderAnswers {
  /** The body is the text of the definition. */
  definition: Omit<Reading, 'definition'> & { readonly definition: Omit<ReadDefinition, 'text'> | null };
  stored: Judgement;
  /** The body is the inputs one after the other, `null` where there are none; `lengths` are their characters. */
  start: StartsAnswer;
  'start-many': StartsAnswer;
  /** Null: the process does not know the schema. */
  inputs: { readonly faults: readonly SchemaFault[] | null };
}

export interface StartsAnswer {
  readonly items: readonly StartItem[];
  readonly lengths: readonly number[];
}

export type FromReader =
  | { readonly kind: 'ready' }
  | { readonly kind: 'broken'; readonly message: string }
  | { readonly kind: 'done'; readonly refusal: Refusal }
  | { readonly kind: 'done'; readonly refusal: null; readonly answer: ReaderAnswers[keyof ReaderAnswers] };
