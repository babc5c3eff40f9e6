/**
 * The attempts of a step as they are shown: the last one from its row, the others as they are kept. Pure.
 */
import type { KeptAttempt, KeptLines, KeptTurn } from '../../db/attempts/kept-attempts.ts';
import type { StepDetail } from '../../db/execution-queries.ts';
import { isoTime, opened, stepError } from './answer-parts.ts';
import type { AttemptBody, AttemptOutcome, UsageBody } from './answers.ts';

export interface KeptParts {
  readonly attempts: readonly KeptAttempt[];
  readonly turns: readonly KeptTurn[];
  readonly logs: readonly KeptLines[];
}

type Row = Pick<
  StepDetail,
  'status' | 'attempt' | 'startedAt' | 'completedAt' | 'error' | 'errorCode' | 'errorDetails'
> & { readonly attemptStartedAt: Date | null; readonly engine: string | null };

type Shown = Omit<KeptAttempt, 'outcome' | 'endedAt'> & {
  readonly outcome: AttemptOutcome | null;
  readonly endedAt: Date | null;
};

/** Returns the attempts as JSON, in pieces: payloads are passed on as they are stored. */
export function attemptsJson(step: Row, { attempts, turns, logs }: KeptParts): string[] {
  const shown = withUntold(shownAttempts(step, attempts), [...turns, ...logs]);
  const turnsOf = Map.groupBy(turns, ({ attempt }) => attempt);
  const logsOf = Map.groupBy(logs, ({ attempt }) => attempt);
  const pieces = ['['];
  for (const [at, each] of shown.entries()) {
    if (at > 0) pieces.push(',');
    const { attempt } = each;
    pieces.push(...attemptJson(each, turnsOf.get(attempt) ?? [], logsOf.get(attempt) ?? []));
  }
  pieces.push(']');
  return pieces;
}

/** The attempts that are kept, and the one that the row tells: it is not kept, or another one had its number before. */
function shownAttempts(step: Row, kept: readonly KeptAttempt[]): Shown[] {
  const isKept = kept.some(({ attempt, outcome }) => attempt === step.attempt && outcome !== 'given_back');
  if (step.attempt === 0 || isKept) return [...kept];
  const others = kept.filter(({ attempt }) => attempt !== step.attempt);
  return [...others, lastAttempt(step)].sort(byNumber);
}

/** Attempts of an earlier version, of which only turns are kept. */
function withUntold(shown: Shown[], parts: readonly { readonly attempt: number }[]): readonly Shown[] {
  const told = new Set(shown.map(({ attempt }) => attempt));
  const untold = [...new Set(parts.map(({ attempt }) => attempt))].filter((attempt) => !told.has(attempt));
  if (untold.length === 0) return shown;
  return [...shown, ...untold.map((attempt) => ({ ...NOTHING_KNOWN, attempt }))].sort(byNumber);
}

const NOTHING_KNOWN = {
  outcome: null,
  engine: null,
  startedAt: null,
  endedAt: null,
  outputs: null,
  errorCode: null,
  error: null,
  errorDetails: null,
};

function byNumber(a: Shown, b: Shown): number {
  return a.attempt - b.attempt;
}

function lastAttempt(step: Row): Shown {
  const { attempt, status, startedAt, attemptStartedAt, completedAt: endedAt, engine } = step;
  const { errorCode, error, errorDetails } = step;
  const outcome = OUTCOMES[status];
  return {
    attempt,
    outcome,
    engine,
    startedAt: attemptStartedAt ?? startedAt,
    endedAt,
    outputs: null,
    ...(outcome === 'failed'
      ? { errorCode, error, errorDetails }
      : { errorCode: null, error: null, errorDetails: null }),
  };
}

function attemptJson(shown: Shown, turns: readonly KeptTurn[], logs: readonly KeptLines[]): string[] {
  const { attempt, outcome, engine, startedAt, endedAt, outputs } = shown;
  const body = {
    attempt,
    outcome,
    started_at: isoTime(startedAt),
    ended_at: isoTime(endedAt),
    engine,
    usage: usageOf(turns),
  } satisfies Omit<AttemptBody, 'error' | 'outputs' | 'turns' | 'logs'>;
  const pieces = [opened(body), ',"error":', stepError(shown)];
  if (outputs !== null || outcome === 'late') pieces.push(',"outputs":', outputs ?? 'null');
  const lists = logs.map(({ lines }) => lines.slice(1, -1)).filter((lines) => lines !== '');
  pieces.push(',"turns":[', turns.map(({ record }) => record).join(), '],"logs":[', lists.join(), ']}');
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
