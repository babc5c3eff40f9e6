/**
 * Turns a child execution that a handler starts into the event of its step: its template is found, and its inputs are
 * checked and masked.
 */
import type { ChildStart, Event } from '../../core/event.ts';
import { JsonPayload } from '../../payload/json-payload.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import type { ChildToStart } from '../../steps/step-type.ts';
import type { Attempt } from '../attempt.ts';

export interface ChildSource {
  readonly store: OutputStore;
  /** @throws StepFailure when there is no such child to start */
  prepareChild(executionId: string, child: ChildToStart, inputs: JsonPayload): Promise<ChildStart>;
}

/** @throws NotStorable, and StepFailure */
export async function childEvent(
  { child }: { readonly child: ChildToStart },
  { executionId, slot, claim, timeoutLeftMs }: Attempt,
  { store, prepareChild }: ChildSource,
): Promise<Event> {
  const start = await prepareChild(executionId, child, await store.payload(child.inputs));
  if (!child.isAwaited) {
    const output = new JsonPayload(JSON.stringify({ execution_id: start.id }));
    return { type: 'complete', slot, claim, output, routes: null, child: start };
  }
  return {
    type: 'park',
    slot,
    claim,
    forMs: null,
    state: null,
    timeoutMs: timeoutLeftMs === null ? null : Math.max(0, timeoutLeftMs),
    waitingFor: { kind: 'child', execution_id: start.id },
    child: start,
  };
}
