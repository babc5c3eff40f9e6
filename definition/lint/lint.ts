/**
 * The checks across the steps of a definition: edges, cycles, reachability, joins, references, parameters.
 *
 * Each check is one file and one function that reports its findings. A check must never report a definition that can
 * work. When one place is broken, the others are judged as if it were right.
 */

import { inexactNumberMessage } from '../../core/json/exact-number.ts';
import type { InexactLiteral, MemberReference } from '../../core/step-type.ts';
import type { ProblemList } from '../problem-list.ts';
import type { Drafted, LintContext } from './context.ts';
import { warnDurations } from './durations.ts';
import { resolveEdges } from './edges.ts';
import { connect, type DraftGraph, reportCycles } from './graph.ts';
import { warnGrowth } from './growth.ts';
import { warnLiterals } from './literals.ts';
import { checkMembers } from './members.ts';
import { checkParams, reviewParams } from './params.ts';
import { checkReachability } from './reach.ts';
import { checkReferences } from './references.ts';

interface Linted {
  readonly graph: DraftGraph;
  /** By position: whether the parameters of the step are right. */
  readonly sound: readonly boolean[];
  readonly members: readonly MemberReference[];
  readonly inexactNumbers: readonly InexactLiteral[];
}

/** The checks for every definition, also for one that was published long ago. */
export function lint(
  drafted: Drafted,
  context: LintContext,
  errors: ProblemList,
  warnings: ProblemList,
): Linted {
  const { drafts } = drafted;
  const sound = checkParams(drafts, context, errors);
  const edges = resolveEdges(drafts, sound, errors, warnings);
  const graph = connect(edges);
  reportCycles(drafts, graph, errors);
  checkReachability(drafts, graph, errors, warnings);
  return { graph, sound, ...checkReferences(drafted, graph, context, errors) };
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
  const { graph, sound, members, inexactNumbers } = lint(drafted, context, errors, warnings);
  reviewParams(drafted.drafts, sound, errors);
  checkMembers(members, context, errors, warnings);
  for (const { literal, pointer } of inexactNumbers)
    errors.add(pointer, 'number_not_exact', inexactNumberMessage(literal));
  warnLiterals(drafted, warnings);
  warnDurations(drafted, warnings);
  warnGrowth(drafted.drafts, graph, warnings);
}
