/**
 * The attempts of a step as they are shown: the last one from its row, and those of which something else is kept. Pure.
 */
import type { KeptTurn, LateAttempt } from '../../db/attempts/kept-attempts.ts';
import type { StepDetail } from '../../db/execution-queries.ts';
import { isoTime, stepError } from './answer-parts.ts';
import type { AttemptBody, AttemptOutcome, UsageBody } from './answers.ts';

export interface KeptAttempts {
  readonly late: readonly LateAttempt[];
  readonly turns: readonly KeptTurn[];
}

type Row = Pick<
  StepDetail,
  'status' | 'attempt' | 'startedAt' | 'completedAt' | 'error' | 'errorCode' | 'errorDetails'
>;

/** Returns the attempts as JSON, in pieces: payloads are passed on as they are stored. */
export function attemptsJson(step: Row, { late, turns }: KeptAttempts): string[] {
  const lateOf = new Map(late.map((one) => [one.attempt, one]));
  const turnsOf = Map.groupBy(turns, ({ attempt }) => attempt);
  const last = step.attempt > 0 ? [step.attempt] : [];
  const numbers = [...new Set([...lateOf.keys(), ...turnsOf.keys(), ...last])].sort((a, b) => a - b);
  const pieces = ['['];
  for (const [at, number] of numbers.entries()) {
    if (at > 0) pieces.push(',');
    pieces.push(...attemptJson(step, number, lateOf.get(number), turnsOf.get(number) ?? []));
  }
  pieces.push(']');
  return pieces;
}

function attemptJson(
  step: Row,
  attempt: number,
  late: LateAttempt | undefined,
  turns: readonly KeptTurn[],
): string[] {
  const isLast = attempt === step.attempt;
  const body = {
    attempt,
    outcome: late !== undefined ? 'late' : isLast ? OUTCOMES[step.status] : null,
    started_at: attempt === 1 ? isoTime(step.startedAt) : null,
    ended_at: isoTime(late?.endedAt ?? (isLast ? step.completedAt : null)),
    engine: late?.engine ?? null,
    usage: usageOf(turns),
  } satisfies Omit<AttemptBody, 'error' | 'outputs' | 'turns'>;
  const error = late ?? (isLast ? step : null);
  const pieces = [JSON.stringify(body).slice(0, -1), ',"error":', error === null ? 'null' : stepError(error)];
  if (late !== undefined) pieces.push(',"outputs":', late.outputs ?? 'null');
  pieces.push(',"turns":[');
  for (const [at, { record }] of turns.entries()) pieces.push(at === 0 ? '' : ',', record);
  pieces.push(']}');
  return pieces;
}

/** How the last attempt ended, by the status of its step; null: it goes on, or it never began to run. */
const OUTCOMES: Record<StepDetail['status'], AttemptOutcome | null> = {
  waiting_inputs: null,
  queued: null,
  running: null,
  waiting: null,
  retrying: 'failed',
  completed: 'completed',
  failed: 'failed',
  skipped: null,
  cancelled: 'cancelled',
};

function usageOf(turns: readonly KeptTurn[]): UsageBody | null {
  if (turns.length === 0) return null;
  const sum = (read: (turn: KeptTurn) => number | null) =>
    turns.reduce((total, turn) => total + (read(turn) ?? 0), 0);
  return {
    prompt_tokens: sum(({ prompt }) => prompt),
    completion_tokens: sum(({ completion }) => completion),
    total_tokens: sum(({ total }) => total),
  };
}
