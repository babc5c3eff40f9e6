/**
 * Deliberate bugs in compensations.
 */
import type { Mutant } from './mutant.ts';

const CORE = ['core/transition.property.test.ts'];
const NESTED = ['core/scopes/scopes.property.test.ts'];
const WHOLE = ['tests/integration/executions/compensations.test.ts'];
const SCOPES = ['tests/integration/executions/scope-compensations.test.ts'];

export const COMPENSATION_MUTANTS: readonly Mutant[] = [
  {
    name: 'compensations: the earliest completion is undone first',
    file: 'core/compensation/compensation.ts',
    find: ': state.sequence < other.sequence;',
    replace: ': state.sequence > other.sequence;',
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
    name: 'compensations: a holder that was cut off does not come first',
    file: 'core/compensation/compensation.ts',
    find: '  if (isCutOff(state) !== isCutOff(other)) return isCutOff(other);\n',
    replace: '',
    tests: NESTED,
  },
  {
    name: 'compensations: more scopes are undone at a time than may be',
    file: 'core/compensation/compensation.ts',
    find: 'held.concurrency - (open - undone)',
    replace: 'held.concurrency',
    tests: NESTED,
  },
  {
    name: 'compensations: scopes of a holder that did not complete are not undone',
    file: 'core/compensation/compensation.ts',
    find: '!isFinalStep(state!.status)) continue;',
    replace: "state!.status !== 'completed') continue;",
    tests: NESTED,
  },
  {
    name: 'compensations: the open scopes of a holder that fails have no time to end',
    file: 'core/attempt-events.ts',
    find: 'const hasGrace = isEnd && hasToUndo(view);',
    replace: 'const hasGrace = false;',
    tests: NESTED,
  },
  {
    name: 'compensations: scopes that the plan of a cancel was to undo are undone after it',
    file: 'core/ending.ts',
    find: '    changes.undone = changes.undone.filter((scope) => scope.slot !== slot);\n',
    replace: '',
    tests: NESTED,
  },
  {
    name: 'compensations: a scope ends the undoing of its holder without going on to the next',
    file: 'core/attempt-events.ts',
    find: 'undoScopes(plan, state, goOnUndoing(state.held!, count));',
    replace: 'goOnUndoing(state.held!, count);\n  undoScopes(plan, state, []);',
    tests: NESTED,
  },
  {
    name: 'compensations: nobody is told that a scope is to be undone',
    file: 'door/scopes/outgoing.ts',
    find: ', ...units.flatMap(toUndo)];',
    replace: '];',
    tests: SCOPES,
  },
  {
    name: 'compensations: steps in scopes that gave no result are not told',
    file: 'services/steps/undo-status.ts',
    find: '      ...inside.uncertain.map(path),\n',
    replace: '',
    tests: SCOPES,
  },
  {
    name: 'compensations: a cancel leaves scopes cancelled that had completed',
    file: 'db/scopes/ends-below.ts',
    find: "coalesce(c.due_status, 'cancelled')",
    replace: "'cancelled'",
    tests: SCOPES,
  },
  {
    name: 'compensations: a cancel overlooks scopes that are undone inside others',
    file: 'db/scopes/ends-below.ts',
    find: ' or h.undo_open > 0',
    replace: '',
    tests: SCOPES,
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
