/**
 * What the engine and a reader process say to each other, as frame headers; texts travel in the body.
 */
import type { ErrorCode, Problem } from '../../core/problem.ts';
import type { DocumentFormat } from '../../definition/document.ts';
import type { Judgement } from '../../definition/judgement.ts';
import type { SchemaFault } from '../../definition/schema/checker.ts';
import type { StartItem } from '../../services/execution-answers.ts';
import type { ReadDefinition, Reading } from '../../template/reading.ts';
import type { HostSetup } from '../../worker/hosts/wire.ts';

/** What a reader needs before it can read anything: the step types, and how much may be sent. */
export interface ReaderSetup extends Pick<HostSetup, 'modules' | 'http' | 'script'> {
  /** Their values stay in the engine. */
  readonly secretNames: readonly string[];
  readonly maxSteps: number;
  readonly maxDepth: number;
  readonly maxDefinitionBytes: number;
  readonly maxStarts: number;
}

/** The body is what is to be read. */
export type ReaderRequest =
  | { readonly kind: 'definition'; readonly format: DocumentFormat }
  /** A definition as it is stored. */
  | { readonly kind: 'stored' }
  /** The body of a call. */
  | { readonly kind: 'start' | 'start-many' }
  /** The body begins with the schema, of so many bytes; 0: it was sent before. */
  | { readonly kind: 'inputs'; readonly version: string; readonly schemaBytes: number };

/** An EngineError on its way. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly problems: readonly Problem[];
}

/** By the kind of the request. */
export interface ReaderAnswers {
  /** The body is the text of the definition. */
  definition: Omit<Reading, 'definition'> & { readonly definition: Omit<ReadDefinition, 'text'> | null };
  stored: Judgement;
  /** The body is the inputs one after the other, `null` without any; `lengths` are their characters. */
  start: StartsAnswer;
  'start-many': StartsAnswer;
  /** Null: the schema is not known here. */
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
