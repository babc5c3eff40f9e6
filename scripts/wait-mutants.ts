/**
 * Deliberate bugs in steps that wait for something from outside.
 */
import type { Mutant } from './mutant.ts';

const TASKS = ['tests/integration/waits/tasks.test.ts'];
const TASK_LIMITS = ['tests/integration/waits/task-limits.test.ts'];
const SIGNALS = ['tests/integration/waits/signals.test.ts'];
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
    find: '        isFromOutside(event) ||\n',
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
  {
    name: 'signals: a step that begins to wait leaves no ticket',
    file: 'core/jobs.ts',
    find: '  if (plan.awaitsSignal && plan.end === null) add.push(signalsTicket(plan.view.id, newId()));\n',
    replace: '',
    tests: SIGNALS,
  },
  {
    name: 'signals: the latest comes first',
    file: 'db/waits/signals.ts',
    find: 'order by s.id limit $4::bigint) k',
    replace: 'order by s.id desc limit 1) k',
    tests: SIGNALS,
  },
  {
    name: 'signals: one that was used is used again',
    file: 'db/waits/signals.ts',
    find: 's.name = g.name and s.used_at is null\n          and',
    replace: 's.name = g.name\n          and',
    tests: SIGNALS,
  },
  {
    name: 'signals: one that does not fit is given to the next wait',
    file: 'core/waits/pairing.ts',
    find: 'const [signal] = left.splice(at, 1);',
    replace: 'const signal = left[at];',
    tests: ['core/waits'],
  },
  {
    name: 'signals: those for another scope are used',
    file: 'core/waits/pairing.ts',
    find: 'name === wait.name && (scope === null || scope === wait.scope)',
    replace: 'name === wait.name',
    tests: ['core/waits'],
  },
  {
    name: 'signals: a wrong payload is kept although a step waits for another one',
    file: 'services/signal-service.ts',
    find: 'if (!found.isKnown && !isFinalExecution(found.status))',
    replace: 'if (found.isKnown)',
    tests: SIGNALS,
  },
  {
    name: 'signals: an id is forgotten once its signal was used',
    file: 'db/functions/workflow_signal.sql',
    find: 'where s.workflow_execution_id = execution and s.signal_id = workflow_signal.signal_id;\n  end if;',
    replace:
      'where s.workflow_execution_id = execution and s.signal_id = workflow_signal.signal_id and s.used_at is null;\n  end if;',
    tests: SIGNALS,
  },
  {
    name: 'tasks: a result is taken with any token',
    file: 'services/tasks/task-service.ts',
    find: 'if ((await readTaskToken(pool, stepId)) !== token) throw stale(stepId);',
    replace: '',
    tests: TASKS,
  },
  {
    name: 'tasks: a lease that was renewed is ended',
    file: 'worker/consumer/leases.ts',
    find: 'if (leftMs > 0) {',
    replace: 'if (leftMs > 5_000_000) {',
    tests: TASKS,
  },
  {
    name: 'tasks: the timer of a renewed lease is not set again',
    file: 'worker/consumer/consumer.ts',
    find: 'else if (renewed.has(job.id)) back.push(later(job, renewed.get(job.id)!));',
    replace: '',
    tests: TASKS,
  },
  {
    name: 'tasks: a claim leaves the wait as it was, so that it can be ended by hand',
    file: 'core/attempt-events.ts',
    find: "  return state.status === 'waiting' && state.attempt === attempt && state.sequence === sequence;",
    replace: "  return state.status === 'waiting' && state.attempt === attempt;",
    tests: ['core'],
  },
  {
    name: 'tasks: a silent worker uses a retry up',
    file: 'core/attempt-events.ts',
    find: 'if (losses + 1 >= MAX_TASK_LOSSES) {',
    replace: 'if (losses + 1 >= 1) {',
    tests: ['core'],
  },
  {
    name: 'tasks: one that a worker has is completed by hand',
    file: 'services/steps/step-service.ts',
    find: '  if (worker === null) return;',
    replace: '  return;',
    tests: TASKS,
  },
  {
    name: 'tasks: one that a worker has holds no slot of its limit',
    file: 'db/step-limit.ts',
    find: "s.status = 'running' or (${IS_CLAIMED_TASK})",
    replace: "s.status = 'running'",
    tests: TASK_LIMITS,
  },
  {
    name: 'tasks: a claim whose grant is gone is tried for ever',
    file: 'door/locked-commit.ts',
    find: 'if (isGuardFailed(error)) units = withoutLimitedClaims(units);',
    replace: '',
    tests: TASK_LIMITS,
  },
  {
    name: 'tasks: a claim leaves the slot that it was granted, which is free again soon',
    file: 'services/tasks/task-service.ts',
    find: 'isLimited: task.concurrency !== null',
    replace: 'isLimited: false',
    tests: TASK_LIMITS,
  },
  {
    name: 'tasks: those whose limit is used up stand in the way of others',
    file: 'db/waits/tasks.ts',
    find: 'f.limit_count = t.limit_count)',
    replace: 'f.limit_count = t.limit_count and false)',
    tests: TASK_LIMITS,
  },
  {
    name: 'tasks: those of other workspaces are claimed',
    file: 'db/waits/tasks.ts',
    find: 'and ($2::boolean or t.workspace_id is not distinct from $3::uuid)',
    replace: 'and ($2::boolean or $3::uuid is not null or true)',
    tests: TASKS,
  },
];
