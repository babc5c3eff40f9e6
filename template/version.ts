/**
 * A published template version, compiled: the graph, and every step's type and expressions.
 *
 * Compiled once per version and process, and shared by all its executions.
 */

import { compileGraph, type Graph } from '../core/graph.ts';
import type { JsonSchema } from '../core/json/json.ts';
import { EngineError, type Problem, pointerSegment } from '../core/problem.ts';
import type { Template, TemplateStep } from '../core/template.ts';
import type { StoredTemplate } from '../db/workflow-template.ts';
import { buildStored, type Judgement } from '../definition/definition.ts';
import type { LintContext } from '../definition/lint/context.ts';
import type { SchemaFault } from '../definition/schema/checker.ts';
import { type CompiledValue, compileValue } from '../expression/compiled-value.ts';
import { type CompiledCondition, compileCondition } from '../expression/condition.ts';
import type { StepType } from '../steps/step-type.ts';

/** What is wrong with a value; [] when it fits the schema. */
type Check = (value: unknown) => readonly SchemaFault[];

/** What holds a step back although it is ready, with what its keys read. */
export interface CompiledLimits {
  readonly concurrency: { readonly key: CompiledValue; readonly limit: number } | null;
  readonly rate: { readonly key: CompiledValue; readonly limit: number; readonly perMs: number } | null;
  /** Of the keys and of the guard, which is asked first. As in CompiledStep. */
  readonly reads: readonly number[] | null;
  readonly usesInput: boolean;
  readonly usesInputs: boolean;
}

export interface CompiledStep {
  readonly step: TemplateStep;
  /** Why this engine cannot run the step, which is left to others then; null: it can. */
  readonly fault: Problem | null;
  readonly type: StepType;
  /** Null: always. */
  readonly when: CompiledCondition | null;
  /** Null: the definition has no `with`. */
  readonly params: CompiledValue | null;
  /** Set when parameters hold expressions and so can be checked only after interpolation. */
  readonly validateParams: Check | null;
  /** Slots of the steps whose output, status, error or route the step's expressions read; null: any that is upstream. */
  readonly reads: readonly number[] | null;
  readonly usesInput: boolean;
  /** Whether its handler or an expression reads what arrived. */
  readonly usesInputs: boolean;
  /** Null: the step starts when it is ready and a slot is free. */
  readonly limits: CompiledLimits | null;
  /** Deferred parameters as they are met, by their text; null: none was met. */
  deferred: Map<string, CompiledValue> | null;
}

export interface TemplateVersion {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly workspaceId: string | null;
  readonly template: Template;
  readonly graph: Graph;
  /** All steps, by position. */
  readonly steps: readonly CompiledStep[];
  /** Whether any step has limits. */
  readonly hasLimits: boolean;
  /** Whether any step is left to other engines. */
  readonly hasFaults: boolean;
  /** Ids of their step templates, by position. */
  readonly stepTemplateIds: readonly string[];
  /** Positions by the id of the step template. */
  readonly positions: ReadonlyMap<string, number>;
  /** The template's `output`; null: the default rule. */
  readonly output: CompiledValue | null;
}

export interface CompileContext {
  readonly lint: LintContext;
  readonly stepTypes: ReadonlyMap<string, StepType>;
}

/**
 * Compiles a stored definition as it was judged; yields after each step, so that it can be paused.
 * @throws EngineError('invalid_definition') when this engine does not understand the definition
 */
export function* compileVersion(
  stored: StoredTemplate,
  { errors, faults }: Judgement,
  context: CompileContext,
): Generator<void, TemplateVersion> {
  if (errors.length > 0) throw unusable(stored, errors);
  const template = yield* buildStored(stored.definition, context.lint);
  const idByKey = new Map(stored.steps.map(({ id, key }) => [key, id]));
  const graph = compileGraph(template);
  const stepTemplateIds = template.steps.map(({ key }) => idByKey.get(key)!);
  const missing = template.steps.find(({ key }) => !idByKey.has(key));
  if (missing !== undefined) throw unusable(stored, [lacksRow(missing)]);
  const steps: CompiledStep[] = [];
  for (const step of template.steps) {
    const fault = Object.hasOwn(faults, step.key) ? faults[step.key] : undefined;
    steps.push(fault === undefined ? compileStep(step, graph, context) : leftToOthers(step, fault));
    yield;
  }
  return {
    id: stored.id,
    name: stored.name,
    version: stored.version,
    workspaceId: stored.workspaceId,
    template,
    graph,
    steps,
    hasLimits: steps.some(({ limits }) => limits !== null),
    hasFaults: Object.keys(faults).length > 0,
    stepTemplateIds,
    positions: new Map(stepTemplateIds.map((id, position) => [id, position])),
    output: template.output === undefined ? null : compileValue(template.output),
  };
}

/** Refuses what this engine could not run by itself. @throws EngineError('invalid_definition') */
export function assertRunnable(version: TemplateVersion): void {
  if (!version.hasFaults) return;
  const faults = version.steps.flatMap(({ fault }) => fault ?? []);
  throw unusable(version, faults);
}

function unusable(
  { name, version }: Pick<TemplateVersion, 'name' | 'version'>,
  problems: readonly Problem[],
): EngineError {
  const message = `Template ${name} version ${version} cannot be run: ${problems[0]?.message}`;
  return new EngineError('invalid_definition', message, problems);
}

function lacksRow({ key }: TemplateStep): Problem {
  const message = `Its step "${key}" has no row in workflow_step_templates.`;
  return { pointer: `/steps${pointerSegment(key)}`, code: 'step_not_stored', message };
}

function leftToOthers(step: TemplateStep, fault: Problem): CompiledStep {
  const run = () => {
    throw new Error(`Step ${step.key} was to be left to another engine: ${fault.message}`);
  };
  return {
    step,
    fault,
    type: { type: step.type, summary: '', schema: true, run },
    when: null,
    params: null,
    validateParams: null,
    reads: [],
    usesInput: false,
    usesInputs: false,
    limits: null,
    deferred: null,
  };
}

/** The validator is compiled when it is asked first, and shared by all steps of a type. */
function checkOf(schema: JsonSchema, { lint }: CompileContext): Check {
  return (value) => lint.schemas.validate(schema, value);
}

function compileStep(step: TemplateStep, graph: Graph, context: CompileContext): CompiledStep {
  const type = context.stepTypes.get(step.type)!;
  const params = step.with === undefined ? null : compileValue(step.with, type.deferred);
  const when = step.when === undefined || step.when === true ? null : compileCondition(step.when);
  const deferred = step.with === undefined || type.deferred === undefined ? null : compileValue(step.with);
  const values = [params, when, deferred].filter((value) => value !== null);
  return {
    step,
    fault: null,
    type,
    when,
    params,
    validateParams: params === null || params.parts.length === 0 ? null : checkOf(type.schema, context),
    reads: values.some((value) => value.dynamicSteps) ? null : readSlots(values, graph),
    usesInput: values.some((value) => value.roots.has('input')),
    usesInputs: readsInputs(type, step) || values.some((value) => value.roots.has('inputs')),
    limits: compileLimits(step, when, graph),
    deferred: null,
  };
}

/** Types of the operator's own may throw: then they are given what they may want. */
function readsInputs(type: StepType, step: TemplateStep): boolean {
  try {
    return type.readsInputs?.(step.with) !== false;
  } catch {
    return true;
  }
}

function compileLimits(
  { concurrency, rateLimit }: TemplateStep,
  when: CompiledCondition | null,
  graph: Graph,
): CompiledLimits | null {
  if (concurrency === null && rateLimit === null) return null;
  const shared = concurrency === null ? null : { ...concurrency, key: compileValue(concurrency.key) };
  const rate = rateLimit === null ? null : { ...rateLimit, key: compileValue(rateLimit.key) };
  const values = [when, shared?.key, rate?.key].filter((value) => value !== null && value !== undefined);
  return {
    concurrency: shared,
    rate,
    reads: values.some((value) => value.dynamicSteps) ? null : readSlots(values, graph),
    usesInput: values.some((value) => value.roots.has('input')),
    usesInputs: values.some((value) => value.roots.has('inputs')),
  };
}

function readSlots(
  values: readonly { stepReferences: readonly { key: string }[] }[],
  graph: Graph,
): number[] {
  const keys = new Set(values.flatMap((value) => value.stepReferences.map(({ key }) => key)));
  return [...keys].map((key) => graph.slots.get(key)).filter((slot) => slot !== undefined);
}
