/**
 * The conditions for every execution of a case, after any fault: it completed, its output is of its last attempt, no
 * attempt was made twice, and no attempt of a healthy engine was made again.
 *
 * Invariant: it is asked when no execution is under way any more.
 */
import { assertInvariants } from '../../tests/support/invariants.ts';
import type { Findings, Strike } from './play.ts';
import type { RecoveryStage } from './stage.ts';
import { recoveryStepTypes } from './step-types.ts';
import type { Call } from './witness.ts';

interface StepRow {
  readonly id: string;
  readonly status: string;
  readonly attempt_count: number;
  /** Null: it has no output. */
  readonly output_attempt: number | null;
}

const STEPS = `
  select s.id, e.status, s.attempt_count, (e.outputs -> 'hold' ->> 'attempt')::integer as output_attempt
    from workflow_executions e join workflow_step_executions s on s.workflow_execution_id = e.id`;
/** How long after its return an engine may find its attempts taken: others had begun to by then. */
const AFTERMATH_MS = 10_000;
const MAX_EXAMPLES = 5;

export async function checkRecovery(
  { admin, adminUrl, witness, fleet }: RecoveryStage,
  findings: Findings,
  started: number,
): Promise<void> {
  const complaints = new Map<string, string[]>();
  const complain = (what: string, detail: string) => {
    complaints.set(what, [...(complaints.get(what) ?? []), detail]);
  };
  const { rows } = await admin.query<StepRow>(STEPS);
  findings.facts.executions = rows.length;
  if (rows.length < started)
    complain('acknowledged starts are lost', `${started} started, ${rows.length} found`);
  for (const row of rows) checkStep(row, witness.steps.get(row.id) ?? [], findings, complain);
  for (const { engine, wasReady, lastLines } of fleet.gaveUp)
    if (wasReady) complain('an engine ended by itself', `${engine}: ${lastLines.slice(-3).join(' | ')}`);
  await assertInvariants(adminUrl, { extra: recoveryStepTypes() }).catch((error: Error) => {
    for (const line of error.message.split('\n').slice(1)) complain('the doctor', line);
  });
  for (const [what, details] of complaints)
    findings.problems.push(`${details.length} x ${what}: ${details.slice(0, MAX_EXAMPLES).join('; ')}`);
}

function checkStep(
  { id, status, attempt_count, output_attempt }: StepRow,
  calls: readonly Call[],
  findings: Findings,
  complain: (what: string, detail: string) => void,
): void {
  if (status !== 'completed') complain('an execution did not complete', `${id} is ${status}`);
  else if (output_attempt !== attempt_count)
    complain(
      'a late result was taken',
      `${id} is in attempt ${attempt_count}, its output of ${output_attempt}`,
    );
  if (!calls.some(({ attempt }) => attempt === attempt_count))
    complain('the attempts are counted wrong', `${id}: nobody called for attempt ${attempt_count}`);
  if (calls.some(({ attempt }) => attempt > attempt_count))
    complain('the attempts are counted wrong', `${id}: a call for more than ${attempt_count}`);
  if (new Set(calls.map(({ attempt }) => attempt)).size < calls.length)
    complain('an attempt was made twice', id);
  findings.add('attempts', attempt_count);
  findings.add('attempts lost before their handler called', attempt_count - calls.length);
  for (const [at, next] of calls.slice(1).entries()) {
    const previous = calls[at]!;
    findings.add('attempts made again', 1);
    if (isExplained(previous, next, findings.strikes)) continue;
    complain(
      'an attempt was taken from an engine that was well',
      `${id}, ${previous.engine}, to ${next.engine}`,
    );
  }
}

/** Returns whether the engine of an attempt was hit by a fault while it ran. */
export function isExplained(
  previous: Pick<Call, 'engine' | 'at'>,
  next: Pick<Call, 'at'>,
  strikes: readonly Strike[],
): boolean {
  return strikes.some(
    ({ engine, from, to }) =>
      engine === previous.engine && previous.at <= to && next.at >= from && next.at <= to + AFTERMATH_MS,
  );
}
