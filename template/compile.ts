/**
 * Compiles a stored definition into a template version, in slices that can be paused.
 */

import { compileGraph, type Graph } from '../core/graph.ts';
import type { JsonObject, JsonSchema } from '../core/json/json.ts';
import { type Problem, pointerSegment } from '../core/problem.ts';
import type { StoredTemplate, Template, TemplateStep } from '../core/template.ts';
import type { Judgement } from '../definition/judgement.ts';
import type { SchemaFault } from '../definition/schema/checker.ts';
import type { CompiledCondition } from '../expression/compiled.ts';
import { compileValue } from '../expression/compiled-value.ts';
import { compileCondition } from '../expression/condition.ts';
import type { StepType } from '../steps/step-type.ts';

import {
  type Check,
  type CompiledLimits,
  type CompiledStep,
  type TemplateVersion,
  unusable,
} from './version.ts';

export interface CompileContext {
  readonly stepTypes: ReadonlyMap<string, StepType>;
  judge(document: JsonObject): Judgement;
  /** Builds the template of a definition without errors; yields after each step. */
  build(document: JsonObject): Generator<void, Template>;
  /** Validates a value against a schema. */
  validate(schema: JsonSchema, value: unknown): readonly SchemaFault[];
}

/**
 * Compiles a stored definition with its judgement; yields after each step, so that it can be paused.
 * @throws EngineError('invalid_definition') when this engine does not understand the definition
 */
export function* compileVersion(
  stored: StoredTemplate,
  { errors, faults }: Judgement,
  context: CompileContext,
): Generator<void, TemplateVersion> {
  if (errors.length > 0) throw unusable(stored, errors);
  const template = yield* context.build(stored.definition);
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
    sandboxed: false,
    limits: null,
    deferred: null,
  };
}

/** Returns the validator of a schema. It is compiled on first use, and shared by all steps of a type. */
function checkOf(schema: JsonSchema, context: CompileContext): Check {
  return (value) => context.validate(schema, value);
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
    sandboxed: type.sandboxed === true || values.some(({ native }) => !native),
    limits: compileLimits(step, when, graph),
    deferred: null,
  };
}

/** Returns whether the step reads its inputs. Custom types may throw: they then count as reading them. */
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
