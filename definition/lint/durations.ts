/**
 * Finds durations of a definition that contradict each other, so that one of them never has an effect or a step can only
 * fail. Only durations that are written without an expression are known.
 */
import type { RetryPolicy } from '../../core/template.ts';
import { parseDuration } from '../../core/time/duration.ts';
import { DEFAULT_RETRY } from '../policies.ts';
import type { ProblemList } from '../problem-list.ts';
import type { StepDraft } from '../step-draft.ts';

interface Duration {
  /** As the definition has it: `with.for`. */
  readonly name: string;
  /** JSON pointer below the step. */
  readonly pointer: string;
  readonly ms: number;
}

/** A longer series adds nothing: an exponential delay has reached a year by then. */
const MAX_SUMMED = 64;

/** @param timeoutMs of the whole execution; null: none */
export function warnDurations(
  drafts: readonly StepDraft[],
  timeoutMs: number | null,
  warnings: ProblemList,
): void {
  for (const draft of drafts) {
    const warn = (pointer: string, message: string) =>
      warnings.add(draft.pointer + pointer, 'contradicting_durations', message);
    const { timeoutMs: stepMs, retry } = draft.step;
    const own: Duration | null =
      stepMs === null ? null : { name: 'timeout', pointer: '/timeout', ms: stepMs };
    const limits = limitsOf(draft);
    const takes = parameter(draft, draft.type?.takes);
    if (own !== null) {
      if (takes !== null && takes.ms >= own.ms)
        warn(takes.pointer, neverInTime(takes, `"timeout", which is ${own.ms} ms`));
      for (const limit of limits)
        if (limit.ms > own.ms) warn(limit.pointer, neverOver(limit, `"timeout", which is ${own.ms} ms`));
    }
    if (timeoutMs !== null) {
      const whole = `the "timeout" of the whole execution, which is ${timeoutMs} ms`;
      if (takes !== null && takes.ms >= timeoutMs) warn(takes.pointer, neverInTime(takes, whole));
      for (const limit of own === null ? limits : [own])
        if (limit.ms > timeoutMs) warn(limit.pointer, neverOver(limit, whole));
      const waitMs = leastWaitMs(retry);
      if (waitMs >= timeoutMs) warn('/retry', neverTriedAgain(retry, waitMs, whole));
    }
    const { delayMs, maxDelayMs } = retry;
    if (maxDelayMs !== null && maxDelayMs < delayMs && delayMs !== DEFAULT_RETRY.delayMs)
      warn('/retry/maxDelay', neverWaitedFor(delayMs, maxDelayMs));
  }
}

function limitsOf(draft: StepDraft): Duration[] {
  const { heartbeatTimeoutMs: ms } = draft.step;
  const heartbeat = ms === null ? [] : [{ name: 'heartbeatTimeout', pointer: '/heartbeatTimeout', ms }];
  const limit = parameter(draft, draft.type?.limitedBy);
  return limit === null ? heartbeat : [...heartbeat, limit];
}

function parameter({ step }: StepDraft, name: string | undefined): Duration | null {
  const value = name === undefined ? undefined : step.with?.[name];
  const ms = typeof value === 'string' || typeof value === 'number' ? parseDuration(value) : null;
  return ms === null ? null : { name: `with.${name}`, pointer: `/with/${name}`, ms };
}

/** Returns the time before the last retry, at least: jitter may halve each delay. */
function leastWaitMs({ limit, delayMs, backoff, maxDelayMs, jitter }: RetryPolicy): number {
  const capMs = maxDelayMs ?? Number.POSITIVE_INFINITY;
  let sum = 0;
  let last = 0;
  for (let retry = 0; retry < Math.min(limit, MAX_SUMMED); retry += 1) {
    last = Math.min(backoff === 'exponential' ? delayMs * 2 ** retry : delayMs, capMs);
    sum += last;
  }
  sum += Math.max(0, limit - MAX_SUMMED) * last;
  return jitter ? sum / 2 : sum;
}

function neverInTime({ name, ms }: Duration, bound: string): string {
  return `"${name}" is ${ms} ms and never over before ${bound}: the step can only time out. Give it less, or the timeout more.`;
}

function neverOver({ name, ms }: Duration, bound: string): string {
  return `"${name}" is ${ms} ms and never over before ${bound}. Give it less, or leave it out.`;
}

function neverTriedAgain({ limit }: RetryPolicy, waitMs: number, bound: string): string {
  return `Retry ${limit} comes after delays of ${Math.round(waitMs)} ms or more, never before ${bound}. Lower "limit" or "delay", or give "maxDelay".`;
}

function neverWaitedFor(delayMs: number, maxDelayMs: number): string {
  return `"maxDelay" is ${maxDelayMs} ms and shorter than "delay", which is ${delayMs} ms: no retry waits for "delay". Give "maxDelay" more, or "delay" less.`;
}
