/**
 * The checks across the steps of a definition: edges, cycles, reachability, joins, references, parameters.
 *
 * Each check is one file and one function that reports what it finds. A check must never report what can work:
 * where a definition is broken in one place, the others are judged as if that place were right.
 */

import type { ProblemList } from '../problem-list.ts';
import type { Drafted, LintContext } from './context.ts';
import { resolveEdges } from './edges.ts';
import { connect, reportCycles } from './graph.ts';
import { checkParams } from './params.ts';
import { checkReachability } from './reach.ts';
import { checkReferences } from './references.ts';

export function lint(
  drafted: Drafted,
  context: LintContext,
  errors: ProblemList,
  warnings: ProblemList,
): void {
  const { drafts } = drafted;
  const sound = checkParams(drafts, context, errors);
  const edges = resolveEdges(drafts, sound, errors, warnings);
  const graph = connect(edges);
  reportCycles(drafts, graph, errors);
  checkReachability(drafts, graph, errors, warnings);
  checkReferences(drafted, graph, context, errors);
}
