/**
 * Checks the expressions of a definition: their syntax, and that the steps they name have ended by then.
 *
 * `steps.<key>` must be upstream of the step that reads it, over any edges; `inputs.<key>` must be a direct
 * predecessor. The `output` of the definition is evaluated at the end and may read every step.
 */

import type { Json } from '../../core/json/json.ts';
import { pointerSegment } from '../../core/problem.ts';
import type { ExpressionUse, InexactLiteral, MemberReference } from '../../core/step-type.ts';
import { listNames, type ProblemList, quote } from '../problem-list.ts';
import { holdsExpression } from '../schema/loose-schema.ts';
import type { StepDraft } from '../step-draft.ts';
import type { Drafted, LintContext } from './context.ts';
import type { DraftGraph } from './graph.ts';

/** A read of a step that exists, by another that it is not a direct predecessor of. */
interface DistantRead {
  readonly reader: number;
  readonly target: number;
  readonly pointer: string;
}

interface Check {
  readonly drafts: readonly StepDraft[];
  readonly graph: DraftGraph;
  readonly context: LintContext;
  readonly errors: ProblemList;
  readonly positions: ReadonlyMap<string, number>;
  readonly distant: DistantRead[];
  readonly found: Found;
}

/**
 * The reads of expressions below other roots than those of steps, and numbers in them, with the pointers of the
 * definition.
 */
interface Found {
  readonly members: MemberReference[];
  readonly inexactNumbers: InexactLiteral[];
}

export function checkReferences(
  { drafts, output }: Drafted,
  graph: DraftGraph,
  context: LintContext,
  errors: ProblemList,
): Found {
  const positions = new Map(drafts.map(({ step }, position) => [step.key, position]));
  const check: Check = {
    drafts,
    graph,
    context,
    errors,
    positions,
    distant: [],
    found: { members: [], inexactNumbers: [] },
  };
  for (const position of drafts.keys()) checkStep(position, check);
  reportDistant(check);
  if (output !== undefined) checkOutput(output, check);
  return check.found;
}

function checkOutput(output: Json, check: Check): void {
  const use = check.context.expressions.check(output);
  take(use, '/output', check);
  for (const { key, pointer } of use.stepReferences) positionOf(key, `/output${pointer}`, check);
  for (const { key, pointer } of use.inputReferences) {
    const message = `"inputs" is known only inside a step; write steps${member(key)}.output instead.`;
    check.errors.add(`/output${pointer}`, 'unknown_reference', message);
  }
}

function checkStep(position: number, check: Check): void {
  const { step, pointer } = check.drafts[position]!;
  const { when, concurrency, rateLimit } = step;
  if (typeof when === 'string' && isFollowedByText(when, check)) {
    const message = '"when" must be exactly one expression; there is text after its closing }}.';
    check.errors.add(`${pointer}/when`, 'when_not_expression', message);
  } else if (typeof when === 'string') checkValue(when, `${pointer}/when`, position, check);
  if (step.with !== undefined) checkWith(position, check);
  if (concurrency !== null) checkValue(concurrency.key, `${pointer}/concurrency/key`, position, check);
  if (rateLimit !== null) checkValue(rateLimit.key, `${pointer}/rateLimit/key`, position, check);
}

/**
 * Deferred parameters are evaluated by the step itself, or never (code). A whole expression is evaluated, so it is
 * checked; an inline scope has its own steps and is not checked here.
 */
function checkWith(position: number, check: Check): void {
  const { step, pointer, type } = check.drafts[position]!;
  const deferred = type?.deferred ?? [];
  checkValue(step.with!, `${pointer}/with`, position, check, deferred);
  for (const pattern of deferred) {
    for (const place of matches(step.with!, pattern.split('/').slice(1))) {
      const { value } = place;
      if (typeof value !== 'string' || !/^\s*\$\{\{.*\}\}\s*$/s.test(value)) continue;
      checkValue(value, `${pointer}/with${place.pointer}`, position, check);
    }
  }
}

/** The values at a pointer in which `*` stands for any segment. */
function matches(root: Json, segments: readonly string[]): { value: Json; pointer: string }[] {
  let places = [{ value: root, pointer: '' }];
  for (const segment of segments) {
    places = places.flatMap(({ value, pointer }) => {
      if (typeof value !== 'object' || value === null) return [];
      const name = segment.replaceAll('~1', '/').replaceAll('~0', '~');
      const entries = Object.entries(value).filter(([key]) => segment === '*' || key === name);
      return entries.map(([key, item]) => ({ value: item, pointer: pointer + pointerSegment(key) }));
    });
  }
  return places;
}

function checkValue(
  value: Json,
  pointer: string,
  reader: number,
  check: Check,
  deferred?: readonly string[],
): void {
  if (typeof value === 'string' && !holdsExpression(value)) return;
  const use = check.context.expressions.check(value, deferred);
  take(use, pointer, check);
  for (const reference of use.stepReferences) {
    checkStepReference(reference.key, pointer + reference.pointer, reader, check);
  }
  for (const reference of use.inputReferences) {
    checkInputReference(reference.key, pointer + reference.pointer, reader, check);
  }
}

/** Reports errors within expressions, and keeps the reads that are not of steps. */
function take(use: ExpressionUse, pointer: string, { errors, found }: Check): void {
  for (const problem of use.problems) errors.add(pointer + problem.pointer, problem.code, problem.message);
  for (const reference of use.memberReferences)
    found.members.push({ ...reference, pointer: pointer + reference.pointer });
  for (const number of use.inexactNumbers)
    found.inexactNumbers.push({ ...number, pointer: pointer + number.pointer });
}

function checkStepReference(key: string, pointer: string, reader: number, check: Check): void {
  const target = positionOf(key, pointer, check);
  if (target === null || isPredecessor(target, reader, check)) return;
  check.distant.push({ reader, target, pointer });
}

function checkInputReference(key: string, pointer: string, reader: number, check: Check): void {
  const target = positionOf(
    key,
    pointer,
    check,
    ` What the workflow was started with is input${member(key)}.`,
  );
  if (target === null || isPredecessor(target, reader, check)) return;
  const { needs } = check.drafts[reader]!;
  if (!needs.complete) return;
  const keys = [...new Set(needs.entries.map(({ from }) => from))];
  const known = keys.length === 0 ? 'this step needs none' : `here ${listNames(keys)}`;
  const message = `inputs${member(key)} is not known: "inputs" holds the outputs of the steps in "needs" (${known}). Read steps${member(key)}.output, or add "${key}" to "needs".`;
  check.errors.add(pointer, 'not_upstream', message);
}

function positionOf(key: string, pointer: string, check: Check, hint = ''): number | null {
  const position = check.positions.get(key);
  if (position !== undefined) return position;
  const near = check.errors.suggest(key, check.positions.keys());
  const message = `There is no step ${quote(key)} to refer to.${near}${hint}`;
  check.errors.add(pointer, 'unknown_step_reference', message);
  return null;
}

function isPredecessor(target: number, reader: number, check: Check): boolean {
  return check.graph.incoming[reader]!.some(({ from }) => from === target);
}

function reportDistant(check: Check): void {
  const targets = [...new Set(check.distant.map(({ target }) => target))];
  const byTarget = Map.groupBy(check.distant, ({ target }) => target);
  for (let start = 0; start < targets.length; start += BATCH) {
    const batch = targets.slice(start, start + BATCH);
    const reached = reachedFrom(batch, check.graph);
    for (const [bit, target] of batch.entries()) {
      for (const read of byTarget.get(target) ?? []) {
        if ((reached[read.reader]! & (1 << bit)) === 0) reportNotUpstream(read, check);
      }
    }
  }
}

function reportNotUpstream({ reader, target, pointer }: DistantRead, check: Check): void {
  const { step, needs } = check.drafts[reader]!;
  // With a broken "needs" the steps before this one are not known.
  if (!needs.complete || check.graph.unresolved[reader]! > 0) return;
  const { key } = check.drafts[target]!.step;
  const message =
    reader === target
      ? `The step "${key}" refers to itself; its output is not known before it has run.`
      : `The step "${key}" does not run before "${step.key}"; add it to "needs" of "${step.key}" or of a step before it.`;
  check.errors.add(pointer, 'not_upstream', message);
}

/** Targets that are followed at once, one bit each. */
const BATCH = 32;

/** By position: which of the targets are upstream, as bits. Members of a cycle are upstream of each other. */
function reachedFrom(targets: readonly number[], graph: DraftGraph): Int32Array {
  const own = new Int32Array(graph.incoming.length);
  for (const [bit, target] of targets.entries()) own[target] = 1 << bit;
  const reached = new Int32Array(graph.incoming.length);
  for (const group of graph.groups) {
    let bits = 0;
    for (const member of group) {
      for (const { from } of graph.incoming[member]!) bits |= reached[from]! | own[from]!;
    }
    for (const member of group) reached[member] = bits;
  }
  return reached;
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
