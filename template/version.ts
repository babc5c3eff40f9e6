/**
 * A published template version, compiled: the graph, and every step's type and expressions.
 *
 * Compiled once per version and process (compile.ts), and shared by all its executions.
 */

import type { Graph } from '../core/graph.ts';
import { EngineError, type Problem } from '../core/problem.ts';
import type { Template, TemplateStep } from '../core/template.ts';
import type { SchemaFault } from '../definition/schema/checker.ts';
import type { CompiledCondition, CompiledValue } from '../expression/compiled.ts';
import type { DataReads } from '../expression/data-reads.ts';
import type { StepType } from '../steps/step-type.ts';

/** Returns the faults of a value; [] when it fits the schema. */
export type Check = (value: unknown) => readonly SchemaFault[];

/** Limits of a ready step, with the data that their keys and the guard read: the guard is evaluated first. */
export interface CompiledLimits extends DataReads {
  readonly concurrency: { readonly key: CompiledValue; readonly limit: number } | null;
  readonly rate: { readonly key: CompiledValue; readonly limit: number; readonly perMs: number } | null;
}

/** A step, with the data that its expressions and its handler read. */
export interface CompiledStep extends DataReads {
  readonly step: TemplateStep;
  /** Of a compensation: the slot of the step that it undoes; null for any other step. */
  readonly undoes: number | null;
  /** Reason why this engine cannot run the step, and leaves it to others; null: it can run it. */
  readonly fault: Problem | null;
  readonly type: StepType;
  /** Null: the step always runs. */
  readonly when: CompiledCondition | null;
  /** Null: the definition has no `with`. */
  readonly params: CompiledValue | null;
  /** Set when parameters hold expressions and so can be checked only after interpolation. */
  readonly validateParams: Check | null;
  /** Whether it spends time in the sandbox: its handler, or an expression of it, can run nowhere else. */
  readonly sandboxed: boolean;
  /** Null: the step starts when it is ready and a slot is free. */
  readonly limits: CompiledLimits | null;
  /** Compiled deferred parameters, by their text; null: none so far. */
  deferred: Map<string, CompiledValue> | null;
}

/** The steps of one scope, and its output. */
export interface CompiledScope {
  readonly graph: Graph;
  /** Null: the default rule. */
  readonly output: CompiledValue | null;
  readonly outputReads: DataReads;
}

export interface TemplateVersion {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly workspaceId: string | null;
  readonly template: Template;
  /** Of the top level. */
  readonly graph: Graph;
  /** The graphs of all scopes, for `graphAt`; the first one is the top level's. */
  readonly graphs: readonly Graph[];
  /** In the order of `graphs`. */
  readonly scopes: readonly CompiledScope[];
  /** All steps of all scopes, by position. */
  readonly steps: readonly CompiledStep[];
  /** Whether any step has limits. */
  readonly hasLimits: boolean;
  /** Whether any step starts child executions and waits for them. */
  readonly waitsForChildren: boolean;
  /** Whether any step is left to other engines. */
  readonly hasFaults: boolean;
  /** Ids of their step templates, by position. */
  readonly stepTemplateIds: readonly string[];
  /** Positions by the id of the step template. */
  readonly positions: ReadonlyMap<string, number>;
  /** The template's `output`; null: the default rule. */
  readonly output: CompiledValue | null;
}

/** Refuses a version with steps that this engine cannot run. @throws EngineError('invalid_definition') */
export function assertRunnable(version: TemplateVersion): void {
  if (!version.hasFaults) return;
  const faults = version.steps.flatMap(({ fault }) => fault ?? []);
  throw unusable(version, faults);
}

export function unusable(
  { name, version }: Pick<TemplateVersion, 'name' | 'version'>,
  problems: readonly Problem[],
): EngineError {
  const message = `Template ${name} version ${version} cannot be run: ${problems[0]?.message}`;
  return new EngineError('invalid_definition', message, problems);
}
