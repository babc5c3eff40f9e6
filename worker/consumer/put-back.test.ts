/** When a ticket that came to nothing is looked at again. */
import { expect, test } from 'bun:test';
import { compileGraph } from '../../core/graph.ts';
import { transition } from '../../core/transition.ts';
import { emptyView } from '../../core/view.ts';
import type { Actor } from '../../door/actor.ts';
import type { FetchedJob } from '../../queue/execution-engine-queue.ts';
import { fanOut } from '../../tests/support/core/graphs.ts';
import { LOCKED_JOB_MS, LOOK_AGAIN_MS, PutBack } from './put-back.ts';

const GRAPH = compileGraph(fanOut(1));
const VIEW = emptyView('e', GRAPH);
transition(VIEW, [{ type: 'begin' }], () => 's');
const actor = { loaded: { view: VIEW, version: { hasLimits: false } } } as unknown as Actor;
const TICKET: FetchedJob = {
  queue: 'StepExecutionQueue',
  id: 's',
  data: { kind: 'step', execution_id: 'e', step_id: 's' },
  retryCount: 0,
  priority: 0,
};

const putBack = ({ isOffered = false, canRun = true } = {}) =>
  new PutBack(
    { isOffered: () => isOffered, ticketDelayMs: () => 0 },
    { canRun: () => canRun, canRunAll: () => canRun },
  );

test('the ticket of a step that no slot is free for is due again at once', () => {
  expect(putBack().awaited(actor, TICKET).startAfter).toBeNull();
});

test('that of an execution with a commit on its way is not: it would be fetched again until the commit is through', () => {
  const left = (how?: Parameters<typeof putBack>[0]) =>
    Number(putBack(how).left({ actor, job: TICKET, because: 'busy' }).startAfter);
  expect(left()).toBe(LOOK_AGAIN_MS);
  expect(left({ isOffered: true })).toBeGreaterThan(LOOK_AGAIN_MS);
  expect(left({ canRun: false })).toBeGreaterThan(LOOK_AGAIN_MS);
});

test('that of an execution that somebody has locked waits longer', () => {
  const { startAfter } = putBack().left({ actor, job: TICKET, because: 'locked' });
  expect(startAfter).toBe(LOCKED_JOB_MS);
});
