/**
 * An execution in one or two sentences: how far it is, and what must happen next. Pure.
 */
import { isFinalExecution, isFinalStep, type StepStatus } from '../../core/status.ts';
import type { ExecutionView } from '../../core/view.ts';
import type { ExplainedExecution } from '../../db/explain/execution.ts';
import { count, errorText, instant, listed, quoted } from './text.ts';

/** The order in which steps that are not final are told of: the first one is what the execution waits for most. */
const BY_URGENCY: readonly StepStatus[] = ['retrying', 'waiting', 'queued', 'running', 'waiting_inputs'];

/** Returns the step whose reason says most about the execution; null: none is not final. */
export function mainSlot({ steps }: ExecutionView, unfinished: readonly number[]): number | null {
  const urgency = (slot: number) => BY_URGENCY.indexOf(steps[slot]?.status ?? 'waiting_inputs');
  return unfinished.reduce<number | null>(
    (best, slot) => (best === null || urgency(slot) < urgency(best) ? slot : best),
    null,
  );
}

/** @param main the reason of the main step; null: there is none */
export function summaryOf(
  execution: ExplainedExecution,
  view: ExecutionView,
  scope: string,
  main: string | null,
): string {
  if (isFinalExecution(execution.status)) return finalSummary(execution);
  const where = scope === '' ? '' : ` In scope ${quoted(scope)}`;
  const counts = countsOf(view);
  const head = `Execution ${execution.id} is ${execution.status}${scope === '' ? `: ${counts}` : `.${where} ${counts}`}.`;
  return main === null ? `${head} ${idleWords(execution, scope)}` : `${head} ${main}`;
}

function countsOf({ graph, steps }: ExecutionView): string {
  const own = graph.steps.slice(0, graph.size).map((_, slot) => steps[slot]?.status ?? 'waiting_inputs');
  const numberOf = (...statuses: StepStatus[]) => own.filter((status) => statuses.includes(status)).length;
  const over = own.filter(isFinalStep).length;
  const others: [number, string, string][] = [
    [numberOf('running'), 'runs', 'run'],
    [numberOf('queued'), 'is queued', 'are queued'],
    [numberOf('waiting'), 'waits', 'wait'],
    [numberOf('retrying'), 'is to be tried again', 'are to be tried again'],
    [numberOf('waiting_inputs'), 'waits for inputs', 'wait for inputs'],
  ];
  const told = others.flatMap(([number, one, many]) =>
    number === 0 ? [] : [`${number} ${number === 1 ? one : many}`],
  );
  return listed([`${over} of ${count(graph.size, 'step')} ${graph.size === 1 ? 'is' : 'are'} over`, ...told]);
}

function idleWords({ status }: ExplainedExecution, scope: string): string {
  if (status === 'compensating')
    return 'What it has completed is being undone; it ends by itself after that.';
  if (scope !== '') return 'The scope is over.';
  return 'Every step is over: it ends by itself within a moment.';
}

const RETRY = (id: string) =>
  `POST /api/v1/execution/retry with { "execution_id": "${id}" } runs what failed or was cancelled again`;

function finalSummary({ id, status, failure, completedAt }: ExplainedExecution): string {
  const at = completedAt === null ? '' : ` at ${instant(completedAt)}`;
  if (status === 'completed') return `Execution ${id} completed${at}. Nothing is left to be done.`;
  const why = failure === null ? '' : ` with ${errorText(failure)}`;
  if (status === 'failed') {
    const step = failure?.step ?? null;
    const what = step === null ? `failed${at}${why}` : `failed${at}: its step ${quoted(step)} failed${why}`;
    return `Execution ${id} ${what}. Mend the cause; then ${RETRY(id)}.`;
  }
  if (status === 'timed_out')
    return `Execution ${id} timed out${at}: it took longer than the timeout of its definition. Mend what was slow; then ${RETRY(id)}.`;
  return `Execution ${id} was cancelled${at}${failure === null ? '' : ` (${errorText(failure)})`}. It stays so, unless somebody retries it: ${RETRY(id)}.`;
}
