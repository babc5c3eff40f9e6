/**
 * Deliberate bugs in compensations.
 */
import type { Mutant } from './mutant.ts';

const CORE = ['core/transition.property.test.ts'];
const WHOLE = ['tests/integration/executions/compensations.test.ts'];

export const COMPENSATION_MUTANTS: readonly Mutant[] = [
  {
    name: 'compensations: the earliest completion is undone first',
    file: 'core/compensation/compensation.ts',
    find: 'state.sequence < latest.sequence) continue;',
    replace: 'state.sequence > latest.sequence) continue;',
    tests: CORE,
  },
  {
    name: 'compensations: one begins while steps still run',
    file: 'core/ending.ts',
    find: '  if (isOver(view)) goOnCompensating(view, plan, newId);',
    replace: '  goOnCompensating(view, plan, newId);',
    tests: CORE,
  },
  {
    name: 'compensations: a step that did not complete is undone',
    file: 'core/compensation/compensation.ts',
    find: "if (state?.status !== 'completed' ||",
    replace: 'if (state === undefined ||',
    tests: CORE,
  },
  {
    name: 'compensations: one is not tried again',
    file: 'core/compensation/compensation.ts',
    find: 'return !isCompensation(graph, slot) && (stopRequested',
    replace: 'return (slot >= 0) && (stopRequested',
    tests: CORE,
  },
  {
    name: 'compensations: a timeout ends the execution while it is undone',
    file: 'core/transition.ts',
    find: "if (view.status === 'compensating') return false;\n  return conclude",
    replace: 'return conclude',
    tests: CORE,
  },
  {
    name: 'compensations: a cancel is undone too',
    file: 'core/transition.ts',
    find: "return end(view, plan, { status: 'cancelled', error: cancelledError(event.reason) }, newId);",
    replace:
      "return conclude(view, plan, { status: 'cancelled', error: cancelledError(event.reason) }, newId);",
    tests: CORE,
  },
  {
    name: 'compensations: the status that follows is forgotten',
    file: 'db/apply-plan.ts',
    find: 'if (rows.due.length > 0) statements.push(setDue(rows.due));',
    replace: '',
    tests: WHOLE,
  },
  {
    name: 'compensations: those of a dead engine are not taken over',
    file: 'db/scopes/open-views.ts',
    find: "select id, workflow_template_id, '' from workflow_executions where status = 'compensating'",
    replace: "select id, workflow_template_id, '' from workflow_executions where false",
    tests: WHOLE,
  },
];
