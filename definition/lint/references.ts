/**
 * Checks the expressions of a definition: their syntax, and that the steps they name have ended by then.
 *
 * `steps.<key>` is the step of that key in the nearest scope that has one. It must be upstream of the step that reads
 * it, or of the step that holds the reader, over any edges. `inputs.<key>` must be a direct predecessor. An `output` is
 * evaluated at the end of its scope and may read every step of it.
 */

import type { Json } from '../../core/json/json.ts';
import {
  deferredOf,
  type ExpressionUse,
  type InexactLiteral,
  type MemberReference,
  type NameReference,
} from '../../core/step-type.ts';
import type { ScopeName } from '../../core/template.ts';
import { placesAt } from '../place.ts';
import { listNames, type ProblemList, quote } from '../problem-list.ts';
import { holdsExpression } from '../schema/loose-schema.ts';
import type { ScopeDraft, StepDraft } from '../step-draft.ts';
import type { LintContext } from './context.ts';
import type { DraftGraph } from './graph.ts';
import { type DistantRead, reportDistant } from './upstream.ts';

export interface CheckedScope extends ScopeDraft {
  readonly graph: DraftGraph;
}

/** A scope whose expressions are checked. */
interface Scope extends CheckedScope {
  readonly slots: ReadonlyMap<string, number>;
  /** Null: the top level. */
  readonly around: Scope | null;
  /** Names that its expressions know, with those of the scopes around it. */
  readonly names: ReadonlySet<ScopeName>;
  readonly distant: DistantRead[];
}

/** The place of an expression. */
interface Reader {
  readonly scope: Scope;
  /** Null: the scope's output. */
  readonly slot: number | null;
  readonly names: ReadonlySet<ScopeName>;
}

interface Check {
  readonly context: LintContext;
  readonly errors: ProblemList;
  readonly found: Found;
}

/**
 * The reads of expressions below other roots than those of steps, and numbers in them, with the pointers of the
 * definition.
 */
interface Found {
  readonly members: MemberReference[];
  /** Names that have no value where they stand. */
  readonly unknownNames: NameReference[];
  readonly inexactNumbers: InexactLiteral[];
}

export function checkReferences(
  checked: readonly CheckedScope[],
  context: LintContext,
  errors: ProblemList,
): Found {
  const check: Check = { context, errors, found: { members: [], unknownNames: [], inexactNumbers: [] } };
  const scopes = withScopesAround(checked);
  for (const scope of scopes) for (const slot of scope.drafts.keys()) checkStep(scope, slot, check);
  for (const scope of scopes) {
    const { output, names } = scope;
    if (output !== null) checkValue(output.value, output.pointer, { scope, slot: null, names }, check);
  }
  for (const { distant, drafts, graph } of scopes) reportDistant(distant, drafts, graph, errors);
  return check.found;
}

const NO_NAMES: ReadonlySet<ScopeName> = new Set();

function withScopesAround(checked: readonly CheckedScope[]): Scope[] {
  const scopes: Scope[] = [];
  for (const scope of checked) {
    const around = scope.held === null ? null : scopes[scope.held.around]!;
    const slots = new Map(scope.drafts.map(({ step }, slot) => [step.key, slot]));
    const names = joined(around?.names ?? NO_NAMES, scope.held?.scope.names ?? []);
    scopes.push({ ...scope, slots, around, names, distant: [] });
  }
  return scopes;
}

function joined(names: ReadonlySet<ScopeName>, more: readonly ScopeName[]): ReadonlySet<ScopeName> {
  return more.length === 0 ? names : new Set([...names, ...more]);
}

function checkStep(scope: Scope, slot: number, check: Check): void {
  const { step, pointer } = scope.drafts[slot]!;
  const { when, concurrency, rateLimit } = step;
  const reader: Reader = { scope, slot, names: scope.names };
  if (typeof when === 'string' && isFollowedByText(when, check)) {
    const message = '"when" must be exactly one expression; there is text after its closing }}.';
    check.errors.add(`${pointer}/when`, 'when_not_expression', message);
  } else if (typeof when === 'string') checkValue(when, `${pointer}/when`, reader, check);
  if (step.with !== undefined) checkWith(step.with, scope.drafts[slot]!, reader, check);
  checkCompensation(scope.drafts[slot]!, reader, check);
  if (concurrency !== null) checkValue(concurrency.key, `${pointer}/concurrency/key`, reader, check);
  if (rateLimit !== null) checkValue(rateLimit.key, `${pointer}/rateLimit/key`, reader, check);
}

/** A compensation sees the scope of its step, and what it undoes. */
function checkCompensation({ compensation }: StepDraft, reader: Reader, check: Check): void {
  if (compensation?.step.with === undefined) return;
  const names = joined(reader.names, ['compensates']);
  checkWith(compensation.step.with, compensation, { ...reader, names }, check);
}

/**
 * Deferred parameters are evaluated by the step itself, or never (code). A whole expression is evaluated, so it is
 * checked. Steps and outputs of scopes inside the step are checked as those of their scopes.
 */
function checkWith(params: Json, { pointer, type }: StepDraft, reader: Reader, check: Check): void {
  const deferred = type === null ? maybeInner(check.context) : deferredOf(type);
  checkValue(params, `${pointer}/with`, reader, check, deferred);
  for (const pattern of type?.deferred ?? []) {
    for (const place of placesAt(params, pattern)) {
      const { value } = place;
      if (typeof value !== 'string' || !/^\s*\$\{\{.*\}\}\s*$/s.test(value)) continue;
      checkValue(value, `${pointer}/with${place.pointer}`, reader, check);
    }
  }
  for (const { alongside = [], names } of type?.holds ?? []) {
    const evaluated = { ...reader, names: joined(reader.names, names) };
    for (const { value, pointer: below } of alongside.flatMap((pattern) => placesAt(params, pattern)))
      checkValue(value, `${pointer}/with${below}`, evaluated, check);
  }
}

/** Parameters that may belong to scopes, in a step whose type is not known. */
function maybeInner({ stepTypes }: LintContext): readonly string[] {
  return [...stepTypes.values()].flatMap((type) => (type.holds === undefined ? [] : deferredOf(type)));
}

function checkValue(
  value: Json,
  pointer: string,
  reader: Reader,
  check: Check,
  deferred?: readonly string[],
): void {
  if (typeof value === 'string' && !holdsExpression(value)) return;
  const use = check.context.expressions.check(value, deferred);
  take(use, pointer, reader, check);
  for (const reference of use.stepReferences) {
    checkStepReference(reference.key, pointer + reference.pointer, reader, check);
  }
  for (const reference of use.inputReferences) {
    checkInputReference(reference.key, pointer + reference.pointer, reader, check);
  }
}

/** Reports errors within expressions, and keeps the reads that are not of steps. */
function take(use: ExpressionUse, pointer: string, { names }: Reader, { errors, found }: Check): void {
  for (const problem of use.problems) errors.add(pointer + problem.pointer, problem.code, problem.message);
  for (const reference of use.memberReferences)
    found.members.push({ ...reference, pointer: pointer + reference.pointer });
  for (const reference of use.nameReferences) {
    if (!names.has(reference.name))
      found.unknownNames.push({ ...reference, pointer: pointer + reference.pointer });
  }
  for (const number of use.inexactNumbers)
    found.inexactNumbers.push({ ...number, pointer: pointer + number.pointer });
}

function checkStepReference(key: string, pointer: string, reader: Reader, check: Check): void {
  const nearest = find(key, reader);
  if (nearest === null) {
    reportUnknown(key, pointer, reader.scope, check);
    return;
  }
  const { scope, slot, target } = nearest;
  // An output may read every step of its scope.
  if (slot === null || isPredecessor(target, slot, scope)) return;
  scope.distant.push({ reader: slot, target, pointer, isHolder: scope !== reader.scope });
}

/** Finds the step of the nearest scope that has the key, and in that scope the slot of its reader or the holder. */
function find(key: string, reader: Reader): { scope: Scope; slot: number | null; target: number } | null {
  let { slot } = reader;
  for (let scope: Scope | null = reader.scope; scope !== null; scope = scope.around) {
    const target = scope.slots.get(key);
    if (target !== undefined) return { scope, slot, target };
    slot = scope.held?.holder ?? null;
  }
  return null;
}

function checkInputReference(key: string, pointer: string, reader: Reader, check: Check): void {
  const { scope, slot } = reader;
  if (slot === null) {
    const message = `"inputs" is known only inside a step; write steps${member(key)}.output instead.`;
    check.errors.add(pointer, 'unknown_reference', message);
    return;
  }
  const target = scope.slots.get(key);
  if (target === undefined && find(key, reader) === null) {
    const hint = ` What the workflow was started with is input${member(key)}.`;
    reportUnknown(key, pointer, scope, check, hint);
    return;
  }
  if (target !== undefined && isPredecessor(target, slot, scope)) return;
  const { needs } = scope.drafts[slot]!;
  if (!needs.complete) return;
  const keys = [...new Set(needs.entries.map(({ from }) => from))];
  const known = keys.length === 0 ? 'this step needs none' : `here ${listNames(keys)}`;
  const mend =
    target === undefined
      ? `Read steps${member(key)}.output: "${key}" is outside of the steps here.`
      : `Read steps${member(key)}.output, or add "${key}" to "needs".`;
  const message = `inputs${member(key)} is not known: "inputs" holds the outputs of the steps in "needs" (${known}). ${mend}`;
  check.errors.add(pointer, 'not_upstream', message);
}

function reportUnknown(key: string, pointer: string, scope: Scope, { errors }: Check, hint = ''): void {
  const near = errors.suggest(key, keysKnown(scope));
  const message = `There is no step ${quote(key)} to refer to.${near}${hint}`;
  errors.add(pointer, 'unknown_step_reference', message);
}

function* keysKnown(from: Scope): Generator<string> {
  for (let scope: Scope | null = from; scope !== null; scope = scope.around) yield* scope.slots.keys();
}

function isPredecessor(target: number, reader: number, { graph }: Scope): boolean {
  return graph.incoming[reader]!.some(({ from }) => from === target);
}

/** Closing braces that are tried as the end of an expression; a guard that needs more is not split. */
const MAX_CLOSINGS = 50;

/**
 * Returns whether a text that begins with `${{` and ends with `}}` goes on after its expression. Braces may be part of
 * an expression: it ends at the first closing that leaves it without a syntax error.
 */
function isFollowedByText(text: string, { context }: Check): boolean {
  const last = text.length - 2;
  let close = text.indexOf('}}');
  for (let tried = 0; close !== -1 && close < last && tried < MAX_CLOSINGS; tried++) {
    const { problems } = context.expressions.check(text.slice(0, close + 2));
    if (!problems.some(({ code }) => code === 'expression_syntax')) return true;
    close = text.indexOf('}}', close + 1);
  }
  return false;
}

function member(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
