/**
 * A workflow template after parsing: defaults filled in, durations in milliseconds, edges merged.
 *
 * `definition/definition.ts` makes one from the document a user writes; `core/graph.ts` compiles it.
 * A position is the place of a step in the list of all steps: those of the top level in the order of the definition,
 * then those of each scope that a step of the top level holds, each with the scopes inside it.
 */
import type { Json, JsonObject, JsonSchema } from './json/json.ts';

export type EdgeOn = 'success' | 'failure' | 'always';

/** One way an edge can become live; an edge is live when any of its conditions holds. */
export interface EdgeCondition {
  on: EdgeOn;
  /** Only for on: 'success'. Live when the producer's result names one of these routes; null ignores routes. */
  routes: readonly string[] | null;
}

/** All `needs` entries of a step that name the same producer are one edge. */
export interface Edge {
  /** Key of the producer. */
  from: string;
  conditions: readonly EdgeCondition[];
}

/** Number of live edges required, or 'all' (`any` is 1). */
export type Join = 'all' | number;

export interface RetryPolicy {
  /** Retries after the first attempt. */
  limit: number;
  delayMs: number;
  backoff: 'fixed' | 'exponential';
  /** Cap of the delay and of a peer's Retry-After; null: no cap. */
  maxDelayMs: number | null;
  jitter: boolean;
}

/** A step that would fail for good fails, or pauses its execution until somebody decides. */
export type OnExhausted = 'pause' | 'fail';

/** Names that expressions know beside the usual ones, in scopes that give them a value. */
export const SCOPE_NAMES = ['item', 'index', 'iteration', 'previous', 'compensates'] as const;
export type ScopeName = (typeof SCOPE_NAMES)[number];

/**
 * Steps inside a step, which it runs as a scope of its own, any number of times: for each item, iteration or call of a
 * tool.
 */
export interface ScopeTemplate {
  /** JSON pointer of the steps, below the `with` of the step that holds them: `/steps`, `/tools/0/steps`. */
  readonly pointer: string;
  /** The names that each run gives a value; those of the scopes around it are known too. */
  readonly names: readonly ScopeName[];
  /** Whether each run has an `input` of its own. */
  readonly ownInput: boolean;
  readonly steps: readonly TemplateStep[];
  /** The output of a run, with expressions unevaluated; undefined: the default rule (leaves that completed). */
  readonly output: Json | undefined;
}

/** The scopes of a step that holds none. */
export const NO_SCOPES: readonly ScopeTemplate[] = Object.freeze([]);

export interface TemplateStep {
  key: string;
  type: string;
  /** Merged, in the order of `needs`; empty for a root. */
  edges: readonly Edge[];
  /** Entries of `needs` as written: more than one sends the step through MergeExecutionQueue. */
  needsCount: number;
  join: Join;
  /** When its join fires, the steps that can serve nothing else any more are cancelled (core/races/losers.ts). */
  cancelsLosers: boolean;
  /** A boolean or one `${{ }}` expression; undefined: no guard. */
  when: boolean | string | undefined;
  /** As written, expressions unevaluated; undefined when the definition has none. */
  with: JsonObject | undefined;
  retry: RetryPolicy;
  timeoutMs: number | null;
  /** The longest time without a heartbeat of its handler; null: no limit. */
  heartbeatTimeoutMs: number | null;
  priority: number;
  concurrency: { key: string; limit: number } | null;
  rateLimit: { key: string; limit: number; perMs: number } | null;
  /** What follows when its retries are used up; left out: what the definition says. */
  onExhausted?: OnExhausted | undefined;
  /** The step that undoes it, when its execution fails or is stopped; null: none. Its key is `<key>~compensation`. */
  compensation: TemplateStep | null;
  /** Steps inside the step; empty for most types. */
  scopes: readonly ScopeTemplate[];
}

export interface Template {
  name: string;
  description: string | null;
  /** JSON Schema of the inputs; null: anything. */
  input: JsonSchema | null;
  timeoutMs: number | null;
  onFailure: 'stop' | 'continue';
  /** Of steps whose failure nothing handles; left out: `fail`. */
  onExhausted?: OnExhausted | undefined;
  /** Value of `output` with expressions unevaluated; undefined: the default rule (leaves that completed). */
  output: Json | undefined;
  steps: readonly TemplateStep[];
}

/** A published template as stored in its rows. */
export interface StoredTemplate {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly workspaceId: string | null;
  readonly description: string | null;
  readonly definition: JsonObject;
  /** The definition as JSON text. */
  readonly source: string;
  readonly definitionHash: string;
  readonly createdAt: Date;
  readonly archivedAt: Date | null;
  /** All steps, by position; `key` is the path. */
  readonly steps: readonly { readonly id: string; readonly key: string; readonly type: string }[];
}
