/**
 * Bugs for the tests that `npm test` runs in a smaller size: they are noticed in that size too.
 */
import type { Mutant } from './mutant.ts';

export const SIZE_MUTANTS: readonly Mutant[] = [
  {
    name: 'sizes: the text of expressions weighs nothing',
    file: 'template/weight.ts',
    find: 'const PER_CHARACTER = 2;',
    replace: 'const PER_CHARACTER = 0;',
    tests: ['template/kept-versions.test.ts'],
  },
  {
    name: 'sizes: edges weigh nothing',
    file: 'template/weight.ts',
    find: 'const PER_EDGE = 350;',
    replace: 'const PER_EDGE = 0;',
    tests: ['template/kept-versions.test.ts'],
  },
  {
    name: 'sizes: locked rows are passed over in portable mode',
    file: 'db/connection/features.ts',
    find: 'skipLocked: false,',
    replace: 'skipLocked: true,',
    tests: ['tests/integration/database/portable.test.ts'],
  },
  {
    name: 'sizes: a task whose process died is given up',
    file: 'process/task-pool.ts',
    find: 'if (entry.deaths < MAX_DEATHS && !this.#closed)',
    replace: 'if (entry.deaths < 1 && !this.#closed)',
    tests: ['tests/integration/api/reading.test.ts'],
  },
  {
    name: 'sizes: a body is refused with everything that is wrong with it',
    file: 'api/request-check.ts',
    find: 'const MAX_PROBLEMS = 100;',
    replace: 'const MAX_PROBLEMS = 1_000_000;',
    tests: ['tests/integration/api/reading.test.ts'],
  },
];
