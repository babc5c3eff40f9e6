/**
 * Deliberate bugs in steps that wait for something from outside.
 */
import type { Mutant } from './mutant.ts';

const ANSWERS = ['tests/integration/waits/answers.test.ts'];

export const WAIT_MUTANTS: readonly Mutant[] = [
  {
    name: 'waits: an answer to an earlier wait of the attempt ends this one',
    file: 'core/attempt-events.ts',
    find: 'if (state.attempt !== attempt || state.sequence !== sequence) return false;',
    replace: 'if (state.attempt !== attempt) return false;',
    tests: ['core'],
  },
  {
    name: 'waits: an answer is taken by a step that no longer waits',
    file: 'core/attempt-events.ts',
    find: "if (state?.status !== 'waiting' || holdsOpen(state)) return false;",
    replace: "if (state === undefined || state.status === 'completed') return false;",
    tests: ['core'],
  },
  {
    name: 'waits: what an engine remembers decides that an answer is late',
    file: 'door/scopes/round.ts',
    find: "event.type === 'answer' || ",
    replace: '',
    tests: ANSWERS,
  },
  {
    name: 'waits: an answer whose commit was not confirmed is refused to its sender',
    file: 'services/steps/answerer.ts',
    find: 'if (step.stored.answerId === id) return step;',
    replace: '',
    tests: ANSWERS,
  },
  {
    name: 'waits: steps of other workspaces can be answered',
    file: 'services/visible.ts',
    find: 'found.workspaceId === caller.workspaceId',
    replace: 'true',
    tests: ANSWERS,
  },
];
