/**
 * Deliberate bugs in the judgement that an engine is dead, and in the takeover of its steps.
 */
import type { Mutant } from './mutant.ts';

export const TAKEOVER_MUTANTS: readonly Mutant[] = [
  {
    name: 'an engine that has only just come back judges the others',
    file: 'db/engine-alive.ts',
    find: 'or ${observer}.settled_at <= now()`',
    replace: 'or true`',
    tests: ['db/engine-alive.test.ts'],
  },
  {
    name: 'a process that has only just begun judges by leases that the server has lost',
    file: 'db/engine-alive.ts',
    find: 'and ${row}.heartbeat_at > ${SERVER_BEGAN_AT} and not',
    replace: 'and not',
    tests: ['db/server-return.test.ts'],
  },
  {
    name: 'a standby that was promoted has been the server all along',
    file: 'db/engine-alive.ts',
    find: ', pg_last_xact_replay_timestamp())`',
    replace: ')`',
    tests: ['db/server-return.test.ts'],
  },
  {
    name: 'an execution that somebody has locked holds up the search for the dead',
    file: 'maintenance/rescues.ts',
    find: '    this.#rescueAll(due);\n',
    replace: '    this.#rescueAll(due);\n    await Promise.all(this.#inRescue.values());\n',
    tests: ['maintenance/rescues.test.ts', 'tests/integration/engines/locked-execution.test.ts'],
  },
  {
    name: 'a heartbeat takes no lease',
    file: 'db/engine-alive.ts',
    find: '  takesLease: heartbeatLease,\n',
    replace: "  takesLease: () => 'false',\n",
    tests: ['db/engine-alive.test.ts'],
  },
  {
    name: 'an engine that has only just begun judges by a cut that hit several',
    file: 'db/engine-alive.ts',
    find: 'or not ${silenceIsShared(observer, row)}',
    replace: 'or true',
    tests: ['db/engine-alive.test.ts'],
  },
  {
    name: 'a rescue of many executions is one commit',
    file: 'door/locked-commit.ts',
    find: 'const MAX_UNITS = 50;',
    replace: 'const MAX_UNITS = 1_000;',
    tests: ['tests/integration/engines/takeover.test.ts'],
  },
  {
    name: 'a claim whose answer was lost is taken for answered because of the rescue that led to it',
    file: 'door/view-loader.ts',
    find: 'event.claim.attempt === attempt &&\n        event.claim.owner === claim.owner;',
    replace: 'attempt > 0;',
    tests: ['tests/integration/engines/lost-answer.test.ts'],
  },
];
