/**
 * The checks across the steps of a definition: edges, cycles, reachability, joins, references, parameters.
 *
 * Each check is one file and one function that reports its findings. A scope is checked like the top level; only
 * references leave it. A check must never report a definition that can
 * work. When one place is broken, the others are judged as if it were right.
 */

import { inexactNumberMessage } from '../../core/json/exact-number.ts';
import type { InexactLiteral, MemberReference, NameReference } from '../../core/step-type.ts';
import type { ProblemList } from '../problem-list.ts';
import { compensationsOf, type StepDraft } from '../step-draft.ts';
import type { Drafted, LintContext } from './context.ts';
import { warnDurations } from './durations.ts';
import { resolveEdges } from './edges.ts';
import { connect, reportCycles } from './graph.ts';
import { warnGrowth } from './growth.ts';
import { warnHolders } from './holders.ts';
import { warnLiterals } from './literals.ts';
import { checkMembers, reportNames } from './members.ts';
import { checkParams, reviewParams, warnSettings } from './params.ts';
import { checkReachability } from './reach.ts';
import { type CheckedScope, checkReferences } from './references.ts';
import { newEffort } from './witness.ts';

interface LintedScope extends CheckedScope {
  /** By slot: whether the parameters of the step are right. */
  readonly sound: readonly boolean[];
}

interface Linted {
  readonly scopes: readonly LintedScope[];
  readonly compensations: readonly StepDraft[];
  /** Of the compensations: whether their parameters are right. */
  readonly soundToo: readonly boolean[];
  readonly members: readonly MemberReference[];
  readonly unknownNames: readonly NameReference[];
  readonly inexactNumbers: readonly InexactLiteral[];
}

/** The checks for every definition, also for one that was published long ago. */
export function lint(
  drafted: Drafted,
  context: LintContext,
  errors: ProblemList,
  warnings: ProblemList,
): Linted {
  const sound = drafted.scopes.map(({ drafts }) => checkParams(drafts, context, errors));
  const compensations = drafted.scopes.flatMap(({ drafts }) => compensationsOf(drafts));
  const soundToo = checkParams(compensations, context, errors);
  const scopes = drafted.scopes.map((scope, at) => {
    const edges = resolveEdges(scope.drafts, sound[at]!, errors, warnings);
    return { ...scope, sound: sound[at]!, graph: connect(edges) };
  });
  for (const scope of scopes) reportCycles(scope.drafts, scope.graph, errors);
  const effort = newEffort();
  for (const scope of scopes) checkReachability(scope.drafts, scope.graph, effort, errors, warnings);
  return { scopes, compensations, soundToo, ...checkReferences(scopes, context, errors) };
}

/**
 * The same checks, and those for a definition that is published now. A stored definition with such a mistake is run as
 * it is: its step fails, and others see the failure.
 */
export function lintNew(
  drafted: Drafted,
  context: LintContext,
  errors: ProblemList,
  warnings: ProblemList,
): void {
  const linted = lint(drafted, context, errors, warnings);
  const { scopes, compensations, members, unknownNames, inexactNumbers } = linted;
  for (const scope of scopes) reviewParams(scope.drafts, scope.sound, errors);
  reviewParams(compensations, linted.soundToo, errors);
  checkMembers(members, context, errors, warnings);
  reportNames(unknownNames, context, errors);
  for (const { literal, pointer } of inexactNumbers)
    errors.add(pointer, 'number_not_exact', inexactNumberMessage(literal));
  for (const scope of scopes) warnSettings(scope.drafts, context, warnings);
  for (const scope of scopes) warnLiterals(scope, warnings);
  for (const scope of scopes) warnDurations(scope.drafts, drafted.timeoutMs, warnings);
  const undoing = { drafts: compensations, output: null };
  warnSettings(compensations, context, warnings);
  warnLiterals(undoing, warnings);
  warnDurations(compensations, null, warnings);
  for (const scope of scopes) warnGrowth(scope.drafts, scope.graph, warnings);
  for (const scope of scopes) warnHolders(scope.drafts, warnings);
}
