/**
 * Compiles a stored definition into a template version, in slices that can be paused.
 */

import { isCompensation, undoneBy } from '../core/compensation/compensation.ts';
import { allGraphs, compileGraph, type Graph } from '../core/graph.ts';
import type { JsonObject, JsonSchema } from '../core/json/json.ts';
import type { Problem } from '../core/problem.ts';
import { stepPath } from '../core/scopes/step-path.ts';
import { deferredOf, innerOf } from '../core/step-type.ts';
import type { StoredTemplate, Template, TemplateStep } from '../core/template.ts';
import type { Judgement } from '../definition/judgement.ts';
import type { SchemaFault } from '../definition/schema/checker.ts';
import type { CompiledCondition, CompiledValue } from '../expression/compiled.ts';
import { compileValue } from '../expression/compiled-value.ts';
import { compileCondition } from '../expression/condition.ts';
import type { StepType } from '../steps/step-type.ts';
import { readsOf, type Surroundings, surroundingsOf } from './reads.ts';
import {
  type Check,
  type CompiledLimits,
  type CompiledScope,
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
  const graphs = allGraphs(compileGraph(template));
  const stepTemplateIds = idsOf(stored, graphs);
  const steps: CompiledStep[] = [];
  for (const graph of graphs) {
    const surroundings = surroundingsOf(graph, graphs);
    for (const [slot, step] of graph.steps.entries()) {
      const path = stepPath(graph.held?.path ?? '', step.key);
      const fault = Object.hasOwn(faults, path) ? faults[path] : undefined;
      const undoes = isCompensation(graph, slot) ? undoneBy(graph, slot) : null;
      steps.push(
        fault === undefined
          ? compileStep(step, undoes, surroundings, context)
          : leftToOthers(step, undoes, fault),
      );
      yield;
    }
  }
  const scopes = graphs.map((graph) => compileScope(graph, template, graphs));
  return {
    id: stored.id,
    name: stored.name,
    version: stored.version,
    workspaceId: stored.workspaceId,
    template,
    graph: graphs[0]!,
    graphs,
    scopes,
    steps,
    hasLimits: steps.some(({ limits }) => limits !== null),
    waitsForChildren: steps.some(({ type }) => type.waitsFor === 'child'),
    hasFaults: Object.keys(faults).length > 0,
    stepTemplateIds,
    positions: new Map(stepTemplateIds.map((id, position) => [id, position])),
    output: scopes[0]!.output,
  };
}

/** Returns the ids of the step templates, by position. @throws EngineError when a step has none */
function idsOf(stored: StoredTemplate, graphs: readonly Graph[]): string[] {
  const idByPath = new Map(stored.steps.map(({ id, key }) => [key, id]));
  return graphs.flatMap((graph) =>
    graph.steps.map(({ key }) => {
      const path = stepPath(graph.held?.path ?? '', key);
      const id = idByPath.get(path);
      if (id === undefined) throw unusable(stored, [lacksRow(path)]);
      return id;
    }),
  );
}

function lacksRow(path: string): Problem {
  const message = `Its step "${path}" has no row in workflow_step_templates.`;
  return { pointer: '/steps', code: 'step_not_stored', message };
}

function compileScope(graph: Graph, template: Template, graphs: readonly Graph[]): CompiledScope {
  const { output } = graph.held?.scope ?? template;
  const compiled = output === undefined ? null : compileValue(output);
  const values = compiled === null ? [] : [compiled];
  return { graph, output: compiled, outputReads: readsOf(values, surroundingsOf(graph, graphs)) };
}

function leftToOthers(step: TemplateStep, undoes: number | null, fault: Problem): CompiledStep {
  const run = () => {
    throw new Error(`Step ${step.key} was to be left to another engine: ${fault.message}`);
  };
  return {
    step,
    undoes,
    fault,
    type: { type: step.type, summary: '', schema: true, run },
    when: null,
    params: null,
    validateParams: null,
    ...readsOf([], []),
    sandboxed: false,
    limits: null,
    deferred: null,
  };
}

/** Returns the validator of a schema. It is compiled on first use, and shared by all steps of a type. */
function checkOf(schema: JsonSchema, context: CompileContext): Check {
  return (value) => context.validate(schema, value);
}

function compileStep(
  step: TemplateStep,
  undoes: number | null,
  surroundings: Surroundings,
  context: CompileContext,
): CompiledStep {
  const type = context.stepTypes.get(step.type)!;
  const params = step.with === undefined ? null : compileValue(step.with, deferredOf(type));
  const when = step.when === undefined || step.when === true ? null : compileCondition(step.when);
  const deferred = compileDeferred(step, type);
  const values = [params, when, deferred].filter((value) => value !== null);
  const reads = readsOf(values, surroundings);
  return {
    step,
    undoes,
    fault: null,
    type,
    when,
    params,
    validateParams: params === null || params.parts.length === 0 ? null : checkOf(type.schema, context),
    ...reads,
    reads: undoes === null ? reads.reads : withUndone(reads.reads, undoes, values),
    usesInputs: readsInputs(type, step) || reads.usesInputs,
    sandboxed: type.sandboxed === true || values.some(({ native }) => !native),
    limits: compileLimits(step, when, surroundings),
    deferred: null,
  };
}

/** The output of the step that a compensation undoes is read as `compensates`. */
function withUndone(
  reads: readonly number[] | null,
  undoes: number,
  values: readonly CompiledValue[],
): readonly number[] | null {
  const isRead = values.some(({ nameReferences }) =>
    nameReferences.some(({ name }) => name === 'compensates'),
  );
  return reads === null || !isRead ? reads : [...new Set([...reads, undoes])];
}

/** Returns the parameters with those that the type evaluates by itself; null: it has none. */
function compileDeferred(step: TemplateStep, type: StepType): CompiledValue | null {
  if (step.with === undefined || (type.deferred === undefined && type.holds === undefined)) return null;
  return compileValue(step.with, innerOf(type.holds ?? []));
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
  surroundings: Surroundings,
): CompiledLimits | null {
  if (concurrency === null && rateLimit === null) return null;
  const shared = concurrency === null ? null : { ...concurrency, key: compileValue(concurrency.key) };
  const rate = rateLimit === null ? null : { ...rateLimit, key: compileValue(rateLimit.key) };
  const values = [when, shared?.key, rate?.key].filter((value) => value !== null && value !== undefined);
  return { concurrency: shared, rate, ...readsOf(values, surroundings) };
}
