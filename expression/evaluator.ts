/**
 * Evaluates compiled values: natively where possible, the rest in one round trip to the sandbox.
 *
 * Invariant 1: a part that fails makes the whole fail; the error names the part's pointer and source.
 * Invariant 2: a result may share objects with the scope; neither may be changed.
 */

import type { Json } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import type { CompiledCondition, CompiledValue, Node, Part, Scope } from './compiled.ts';
import { ExpressionError, quoteSource } from './expression-error.ts';
import { define, NotNative } from './native.ts';
import type { Sandbox } from './sandbox/sandbox.ts';
import { scopeText } from './scope-text.ts';
import { type Budget, RESULT_LIMIT, settle, TEXT_LIMIT } from './settle.ts';

export interface EvaluateOptions {
  /** CPU time of the sandboxed parts together, in milliseconds; default: the sandbox's. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Whose evaluation it is: workspaces take turns in the sandbox, and so do the executions of each. */
  workspace?: string | null;
  execution?: string;
}

export interface Evaluator {
  /**
   * The value with every expression replaced. At once when all of it is native, otherwise a promise; throws or
   * rejects with ExpressionError. undefined members are dropped, undefined items and an undefined whole are
   * null; a number that is not finite stays, for the caller to refuse.
   */
  evaluate(compiled: CompiledValue, scope: Scope, options?: EvaluateOptions): unknown | Promise<unknown>;
  /** The same for a result of `compileCondition`. */
  evaluateCondition(
    compiled: CompiledCondition,
    scope: Scope,
    options?: EvaluateOptions,
  ): boolean | Promise<boolean>;
}

const PENDING = Symbol('pending');
/** The number of times that a value may name a large part of the scope before its size is counted. */
const MAX_UNMEASURED = 8;

export function createEvaluator(sandbox: Pick<Sandbox, 'evaluateAll'>): Evaluator {
  const evaluate: Evaluator['evaluate'] = (compiled, scope, options = {}) => {
    const { values, pending } = runNative(compiled, scope);
    if (pending.length === 0) return assemble(compiled, values);
    return runSandboxed(sandbox, compiled, scope, values, pending, options);
  };
  return {
    evaluate,
    evaluateCondition(compiled, scope, options) {
      const result = evaluate(compiled, scope, options);
      return next(result, Boolean);
    },
  };
}

function runNative(compiled: CompiledValue, scope: Scope): { values: unknown[]; pending: number[] } {
  if (compiled.problems.length > 0) throw notEvaluable(compiled);
  const pending: number[] = [];
  const values = compiled.parts.map((part, position) => {
    const value = evaluateNative(part, scope);
    if (value === PENDING) pending.push(position);
    return value;
  });
  return { values, pending };
}

function notEvaluable({ problems }: CompiledValue): ExpressionError {
  const { message, pointer } = problems[0]!;
  return new ExpressionError('expression_failed', message, { pointer, errorName: 'SyntaxError' });
}

function evaluateNative(part: Part, scope: Scope): unknown {
  if (part.native === null) return PENDING;
  try {
    return part.native(scope);
  } catch (error) {
    if (error instanceof NotNative) return PENDING;
    throw atPart(error, part);
  }
}

async function runSandboxed(
  sandbox: Pick<Sandbox, 'evaluateAll'>,
  compiled: CompiledValue,
  scope: Scope,
  values: unknown[],
  pending: readonly number[],
  options: EvaluateOptions,
): Promise<unknown> {
  const parts = pending.map((position) => compiled.parts[position]!);
  try {
    const text = await scopeText(
      scope,
      parts.flatMap((part) => part.reads),
    );
    const results = await sandbox.evaluateAll(
      parts.map((part) => part.code),
      text,
      options,
    );
    for (const [index, position] of pending.entries()) values[position] = results[index];
  } catch (error) {
    const index = error instanceof ExpressionError ? (error.sourceIndex ?? 0) : 0;
    throw atPart(error, parts[index]!);
  }
  return assemble(compiled, values);
}

function atPart(error: unknown, part: Part): unknown {
  if (!(error instanceof ExpressionError)) return error;
  const { code, errorName, cause } = error;
  const message = `\${{ ${quoteSource(part.source)} }}: ${error.message}`;
  return new ExpressionError(code, message, { errorName, cause, pointer: part.pointer });
}

interface Assembly {
  readonly parts: readonly Part[];
  readonly values: readonly unknown[];
  readonly budget: Budget;
  /** The number of paths whose values may still be passed on without measuring them. */
  unmeasured: number;
}

function assemble({ node, parts }: CompiledValue, values: readonly unknown[]): unknown {
  return build(node, { parts, values, budget: { left: RESULT_LIMIT }, unmeasured: MAX_UNMEASURED }) ?? null;
}

/** Fresh arrays and objects for those of the definition; undefined in the place of an expression. */
function build(node: Node, assembly: Assembly): unknown {
  switch (node.kind) {
    case 'constant':
    case 'deferred':
      return node.value;
    case 'value':
      return passOn(node.part, assembly);
    case 'text':
      return join(node.segments, assembly);
    case 'array':
      return node.items.map((item) => build(item, assembly) ?? null);
    case 'object':
      return buildObject(node.members, assembly);
  }
}

function buildObject(members: readonly (readonly [string, Node])[], assembly: Assembly): unknown {
  const target = {};
  for (const [key, node] of members) {
    const value = build(node, assembly);
    if (value !== undefined) define(target, key, value);
  }
  return target;
}

function passOn(position: number, assembly: Assembly): unknown {
  const unchanged = assembly.parts[position]!.path && assembly.unmeasured-- > 0;
  return unchanged ? assembly.values[position] : settlePart(position, assembly, assembly.budget);
}

function settlePart(position: number, { parts, values }: Assembly, budget: Budget): unknown {
  try {
    return settle(values[position], budget);
  } catch (error) {
    throw atPart(error, parts[position]!);
  }
}

function join(segments: readonly (string | number)[], assembly: Assembly): string {
  const budget = { left: TEXT_LIMIT };
  const texts = segments.map((segment) =>
    typeof segment === 'string' ? segment : textOf(settlePart(segment, assembly, budget)),
  );
  return texts.join('');
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value as Json) : String(value);
}
