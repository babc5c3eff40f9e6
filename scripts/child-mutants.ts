/**
 * Deliberate bugs in child executions.
 */
import type { Mutant } from './mutant.ts';

const CORE = ['core/children'];
const WHOLE = ['tests/integration/executions/children.test.ts'];

export const CHILD_MUTANTS: readonly Mutant[] = [
  {
    name: 'children: the end of an old child is taken for that of the new one',
    file: 'core/attempt-events.ts',
    find: "if (state?.status !== 'waiting' || state.attempt !== attempt) return false;",
    replace: "if (state?.status !== 'waiting') return false;",
    tests: CORE,
  },
  {
    name: 'children: a child of an attempt that timed out runs on',
    file: 'core/children/left-children.ts',
    find: 'if (waitsForChild(slot)) slots.push(slot);',
    replace: '',
    tests: CORE,
  },
  {
    name: 'children: a cancel gives those below their grace time',
    file: 'core/children/left-children.ts',
    find: "return !plan.cancelled && winds(plan) ? 'stop' : 'cancel';",
    replace: "return 'stop';",
    tests: CORE,
  },
  {
    name: 'children: those of cancelled scopes run on',
    file: 'door/locked-commit.ts',
    find: 'childrenToTell(tx, decided, cancelled?.ended ?? [])',
    replace: 'childrenToTell(tx, decided, [])',
    tests: WHOLE,
  },
  {
    name: 'children: one that is not waited for ends with its parent',
    file: 'db/children/end.ts',
    find: 'return `${child}.is_awaited and ',
    replace: 'return `',
    tests: WHOLE,
  },
  {
    name: 'children: an execution undoes what it has completed while they run',
    file: 'core/ending.ts',
    find: '(view.hasOpenChildren || isUndoing(view))',
    replace: 'isUndoing(view)',
    tests: WHOLE,
  },
  {
    name: 'children: one whose end is awaited before a compensation does not tell it',
    file: 'db/children/end.ts',
    find: 'parent_compensates = true',
    replace: 'parent_compensates = false',
    tests: WHOLE,
  },
  {
    name: 'children: the end of a scope is taken for that of the child',
    file: 'door/scopes/round.ts',
    find: '{ ...facts, callbackUrl: null, parent: null },',
    replace: '{ ...facts, callbackUrl: null },',
    tests: WHOLE,
  },
];
