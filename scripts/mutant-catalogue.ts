/**
 * Deliberate bugs, of the kinds that would break a promise of docs/reliability.md, and the tests that must notice.
 */
import { AGENT_MUTANTS } from './agent-mutants.ts';
import { ANSWER_MUTANTS } from './answer-mutants.ts';
import { CHILD_MUTANTS } from './child-mutants.ts';
import { COMPENSATION_MUTANTS } from './compensation-mutants.ts';
import type { Mutant } from './mutant.ts';
import { RACE_MUTANTS } from './race-mutants.ts';
import { SCOPE_MUTANTS } from './scope-mutants.ts';
import { SIZE_MUTANTS } from './size-mutants.ts';
import { TAKEOVER_MUTANTS } from './takeover-mutants.ts';
import { WAIT_MUTANTS } from './wait-mutants.ts';

const CORE = ['core'];

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'the claim token is not compared: a zombie completes what was taken over',
    file: 'core/claims/claim-events.ts',
    find:
      "if (state?.status !== 'running' || state.attempt !== token.attempt || state.owner !== token.owner)\n    return null;\n" +
      '  if (token.stepId !== undefined && state.id !== token.stepId) return null;\n' +
      '  return token.sequence === undefined || state.sequence === token.sequence ? state : null;',
    replace: "return state?.status === 'running' ? state : null;",
    tests: CORE,
  },
  {
    name: 'the attempt is left out of the claim token',
    file: 'core/claims/claim-events.ts',
    find: "state?.status !== 'running' || state.attempt !== token.attempt ||",
    replace: "state?.status !== 'running' ||",
    tests: CORE,
  },
  {
    name: 'the sequence is left out of the claim token: an attempt that was parked and resumed is taken for itself',
    file: 'core/claims/claim-events.ts',
    find: 'return token.sequence === undefined || state.sequence === token.sequence ? state : null;',
    replace: 'return state;',
    tests: CORE,
  },
  {
    name: 'a final execution takes events',
    file: 'core/transition.ts',
    find: "((event.type === 'repair' || !isFinalExecution(view.status)) && applyLocated(view, plan, event, newId))",
    replace: 'applyLocated(view, plan, event, newId)',
    tests: CORE,
  },
  {
    name: 'scopes: the end of a scope of an earlier run is counted',
    file: 'core/attempt-events.ts',
    find: 'state.held?.run !== run || state.held.open === 0',
    replace: 'state.held === null || state.held.open === 0',
    tests: CORE,
  },
  {
    name: 'scopes: one more is opened than may be open',
    file: 'core/scopes/held-scopes.ts',
    find: 'const free = Math.max(0, held.concurrency - held.open);',
    replace: 'const free = Math.max(0, held.concurrency + 1 - held.open);',
    tests: CORE,
  },
  {
    name: 'scopes: those of a step that is tried again stay open',
    file: 'core/attempt-events.ts',
    find: '  if (holdsOpen(state) && !hasGrace) cancelScopes(plan, state);\n',
    replace: '',
    tests: CORE,
  },
  {
    name: 'scopes: what follows from one holder is decided before the ends of the others are counted',
    file: 'core/attempt-events.ts',
    find: 'count(view, plan, event)) heard.add(event);\n  for (const event of heard) goOn(view, plan, event as ScopesEnded, newId);',
    replace: 'count(view, plan, event)) {\n    heard.add(event);\n    goOn(view, plan, event, newId);\n  }',
    tests: CORE,
  },
  {
    name: 'scopes: those that a stop takes back are forgotten',
    file: 'core/scopes/held-scopes.ts',
    find: '  held.next -= opened.filter(({ isNew }) => isNew).length;\n',
    replace: '',
    tests: CORE,
  },
  {
    name: 'a join fires one edge too early',
    file: 'core/join.ts',
    find: "if (resolved < edges) return 'wait';",
    replace: "if (resolved < edges - 1) return 'wait';",
    tests: CORE,
  },
  {
    name: 'a join that can no longer be reached waits for ever',
    file: 'core/join.ts',
    find: "return edges - dead < join ? 'skip' : 'wait';",
    replace: "return edges - dead < join - 1 ? 'skip' : 'wait';",
    tests: CORE,
  },
  {
    name: 'the dead path stops after the first step',
    file: 'core/settlement.ts',
    find: "if (decision === 'skip') settled.push(target);",
    replace: '',
    tests: CORE,
  },
  {
    name: 'an attempt that was lost with its engine is not counted',
    file: 'core/claims/claim-events.ts',
    find: 'if (!isLost && !state.parked) state.attempt -= 1;',
    replace: 'if (!state.parked) state.attempt -= 1;',
    tests: CORE,
  },
  {
    name: 'a commit does not look whether another engine was faster',
    file: 'db/workflow-execution.ts',
    find: "where e.id = u.id and e.sequence = u.from_sequence and e.status || '' = 'running'`,\n  4,",
    replace: "where e.id = u.id and e.status || '' = 'running'`,\n  4,",
    tests: ['tests/integration/executions/join-race.test.ts', 'tests/integration/engines/takeover.test.ts'],
  },
  {
    name: 'a statement that changed too few rows is let through',
    file: 'db/statement.ts',
    find: 'select 1 / (count(*) = $${countParameter}::bigint)::integer from changed',
    replace: 'select count(*) = $${countParameter}::bigint from changed',
    tests: ['tests/integration/executions/join-race.test.ts', 'tests/integration/engines/takeover.test.ts'],
  },
  {
    name: 'a join is decided on what was read before the lock',
    file: 'door/view-rows.ts',
    find:
      'const executions = new Map((await lockExecutions(tx, ids, passOver)).map((row) => [row.id, row]));\n' +
      '  const left = passOver ? ids.filter((id) => !executions.has(id)) : [];\n' +
      '  const locked = await existingExecutions(tx, left);\n' +
      '  const steps = Map.groupBy(await loadSteps(tx, [...executions.keys()]), ({ executionId }) => executionId);',
    replace:
      'const steps = Map.groupBy(await loadSteps(tx, ids), ({ executionId }) => executionId);\n' +
      '  const executions = new Map((await lockExecutions(tx, ids, passOver)).map((row) => [row.id, row]));\n' +
      '  const left = passOver ? ids.filter((id) => !executions.has(id)) : [];\n' +
      '  const locked = await existingExecutions(tx, left);',
    tests: ['tests/integration/executions/join-race.test.ts'],
  },
  {
    name: 'jobs are inserted in a transaction of their own, after the commit',
    file: 'door/execution-door.ts',
    find: 'if (statements.length > 0) await lane.transaction(statements);',
    replace:
      "const later = statements.filter((each) => /INSERT INTO/.test(typeof each === 'string' ? each : each.text));\n" +
      '      await lane.transaction(statements.filter((each) => !later.includes(each)));\n' +
      '      if (later.length > 0) await lane.transaction(later);',
    tests: [
      'tests/integration/database/refused-commits.test.ts',
      'tests/integration/database/connections.test.ts',
    ],
  },
  {
    name: 'the jobs of a commit are forgotten',
    file: 'door/committer.ts',
    find: 'if (add.length > 0) statements.push(',
    replace: 'if (add.length > 1e9) statements.push(',
    tests: ['tests/integration/engines/tickets.test.ts', 'tests/integration/api/starts.test.ts'],
  },
  {
    name: 'a commit that waited for a lock writes when it began to wait',
    file: 'door/locked-commit.ts',
    find: 'this.#committer.statements(decided, moment)',
    replace: 'this.#committer.statements(decided, null)',
    tests: ['tests/integration/executions/orders.test.ts'],
  },
  {
    name: 'the job of a claimed step is left behind',
    file: 'door/committer.ts',
    find: 'if (remove.length > 0) statements.push(...(await queue.deleteStatements(remove)));',
    replace: 'if (remove.length > 1e9) statements.push(...(await queue.deleteStatements(remove)));',
    tests: ['tests/integration/engines/tickets.test.ts', 'tests/integration/executions/ending.test.ts'],
  },
  {
    name: 'a ticket whose step could not be claimed is thrown away',
    file: 'worker/consumer/consumer.ts',
    find: "if (status === 'queued') back.push(putBack.awaited(unit.actor, job));",
    replace: '',
    tests: ['tests/integration/engines/tickets.test.ts', 'tests/integration/executions/limits.test.ts'],
  },
  {
    name: 'jobs of an execution that is decided but not written yet are thrown away',
    file: 'worker/consumer/consumer.ts',
    find: "if (status === 'undecided') back.push(putBack.undecided(unit.actor, job));",
    replace: '',
    tests: ['tests/integration/engines/undecided.test.ts'],
  },
  {
    name: 'jobs of executions that are not understood here are thrown away',
    file: 'worker/consumer/consumer.ts',
    find: 'await this.#leaveAlone(tx, unreadableJobs(unloadable, byExecution), back);',
    replace: '',
    tests: [
      'tests/integration/engines/step-types-elsewhere.test.ts',
      'tests/integration/executions/odd-rows.test.ts',
    ],
  },
  {
    name: 'a look that failed for one of the things in it is made again as it was',
    file: 'worker/consumer/job-source.ts',
    find: 'this.#most = Math.max(1, Math.min(this.#most, count) >> 1);',
    replace: '',
    tests: ['tests/integration/executions/odd-rows.test.ts'],
  },
  {
    name: 'an unknown commit of a start is made again',
    file: 'door/locked-commit.ts',
    find: 'start === null || started.has(actor.executionId) ? [] : startUnit(actor, start, mails),',
    replace: 'start === null ? [] : startUnit(actor, start, mails),',
    tests: [
      'tests/integration/database/refused-commits.test.ts',
      'tests/integration/database/connections.test.ts',
    ],
  },
  {
    name: 'claims of a commit whose answer was lost are not found',
    file: 'door/view-loader.ts',
    find: 'if (!waiting.some(isOfClaim))',
    replace: 'if (waiting.some(isOfClaim))',
    tests: [
      'tests/integration/database/refused-commits.test.ts',
      'tests/integration/database/connections.test.ts',
      'tests/integration/doctor/doctor-repair.test.ts',
    ],
  },
  {
    name: 'what an engine remembers decides that a rescue is late',
    file: 'door/scopes/round.ts',
    find: 'if (!isApart && (locked !== undefined || !this.#isStale(unit))) return true;',
    replace: 'if (!isApart) return true;',
    tests: ['tests/integration/executions/orders.test.ts'],
  },
  {
    name: 'a handler begins although its claim was lost',
    file: 'worker/attempt-runner.ts',
    find: 'readResumption(this.#options.db, stepId, claim)',
    replace: 'readResumption(this.#options.db, stepId, null)',
    tests: ['tests/integration/engines/lost-claim.test.ts'],
  },
  {
    name: 'a value that the database refuses takes its whole batch down',
    file: 'door/locked-commit.ts',
    find: 'const badData = BAD_DATA.test(codeOf(error));',
    replace: 'const badData = false;',
    tests: ['tests/integration/database/refused-commits.test.ts'],
  },
  {
    name: 'of several outcomes the first is blamed for what the database refuses',
    file: 'door/locked-commit.ts',
    find: 'if (suspects.length === 1) {',
    replace: 'if (suspects.length > 0) {',
    tests: ['tests/integration/database/refused-commits.test.ts'],
  },
  {
    name: "the error of a definition's output is stored with its secrets",
    file: 'payload/execution-outputs.ts',
    find: 'return this.#store.text(error instanceof Error ? error.message : String(error), MAX_MESSAGE_LENGTH);',
    replace: 'return error instanceof Error ? error.message : String(error);',
    tests: ['tests/integration/executions/masking.test.ts'],
  },
  {
    name: 'the beginning of a secret stays where a text was cut',
    file: 'core/masking/masker.ts',
    find: 'yield* this.#tails.hide(text, hidden);',
    replace: '',
    tests: ['core/masking', 'tests/integration/executions/masking.test.ts'],
  },
  {
    name: 'a secret is looked for in the first layer of escapes only',
    file: 'core/masking/decode.ts',
    find: 'while (layers.length < MAX_LAYERS) {',
    replace: 'while (layers.length < 2) {',
    tests: ['core/masking'],
  },
  {
    name: 'names: a secret that is not there is an empty text',
    file: 'expression/native-member.ts',
    find: '  throw missingName(root, name);',
    replace: '  return undefined;',
    tests: ['expression/missing-name'],
  },
  {
    name: 'names: code that catches the error goes on without the secret',
    file: 'expression/sandbox/prelude.ts',
    find: 'return missing === null ? found : failure(null);',
    replace: 'return found;',
    tests: ['expression/missing-name'],
  },
  {
    name: 'names: a dynamic read of steps sees those that are not upstream',
    file: 'payload/expression-scope.ts',
    find: 'needs.reads ?? upstreamOf(view.graph, slot)',
    replace: 'needs.reads ?? [...view.graph.steps.keys()]',
    tests: ['tests/integration/executions/data.test.ts'],
  },
  {
    name: 'reach: a join that needs what excludes each other is published',
    file: 'definition/lint/witness.ts',
    find: 'if (chosen !== undefined) return live.has(chosen) && this.#start(from, then);',
    replace: 'if (chosen !== undefined) return this.#start(from, then);',
    tests: ['tests/definition/reachability'],
  },
  {
    name: 'reach: a join that can fire is refused',
    file: 'definition/lint/witness.ts',
    find: 'for (let index = from; index + required <= edges.length; index++) {',
    replace: 'for (let index = from; index + required <= Math.min(edges.length, from + 1); index++) {',
    tests: ['tests/definition/reachability'],
  },
  {
    name: 'an engine that was away takes steps over before its next heartbeat',
    file: 'db/engine.ts',
    find: "where o.id = $1 and not ${wasAway('o')}),",
    replace: 'where o.id = $1),',
    tests: ['db/engine-alive.test.ts'],
  },
  ...COMPENSATION_MUTANTS,
  ...RACE_MUTANTS,
  ...CHILD_MUTANTS,
  ...SCOPE_MUTANTS,
  ...SIZE_MUTANTS,
  ...TAKEOVER_MUTANTS,
  ...ANSWER_MUTANTS,
  ...WAIT_MUTANTS,
  ...AGENT_MUTANTS,
];
