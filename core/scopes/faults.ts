/**
 * What is wrong with the numbers of a step's scopes, in words that go on after the name of the step. Part of
 * core/invariants.ts.
 */
import type { ExecutionView, StepState } from '../view.ts';
import { unopened } from './held-scopes.ts';

type Fault = readonly [code: 'scopes_wrong' | 'scopes_idle', what: string];

/** The numbers add up, and a step that waits for scopes has one open or opens the next. */
export function faultsOfScopes(
  { stopRequested, status: of }: Pick<ExecutionView, 'stopRequested' | 'status'>,
  { held, status }: StepState,
): Fault[] {
  if (held === null) return [];
  const faults: Fault[] = [];
  const { total, open, completed, failed, cancelled, concurrency } = held;
  const sum = open + completed + failed + cancelled + unopened(held);
  const isWinding = stopRequested !== null || of === 'compensating';
  if (status === 'waiting' && sum !== total)
    faults.push(['scopes_wrong', `has ${total} scopes, but counts ${sum}`]);
  if (open < 0 || open > concurrency)
    faults.push(['scopes_wrong', `has ${open} scopes open of ${concurrency}`]);
  // A holder that has failed may be over before its scopes are.
  if (status !== 'waiting' && open > 0 && of !== 'compensating')
    faults.push(['scopes_wrong', `is ${status} with ${open} scopes open`]);
  if (status !== 'waiting') return faults;
  if (of === 'paused') return faults;
  const isFull = open === concurrency || unopened(held) === 0;
  if (open === 0 || (!isFull && !isWinding)) {
    const left = `${open} scopes open of ${concurrency} and ${unopened(held)} to open`;
    faults.push(['scopes_idle', `waits with ${left}`]);
  }
  return faults;
}
