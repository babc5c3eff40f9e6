/**
 * The calls that control executions.
 */
import type { DryRun } from '../core/control/dry-run.ts';
import type { BulkAct, BulkBody, BulkResult } from '../services/control/bulk-answers.ts';
import type { ForkBody } from '../services/control/fork-answers.ts';
import type {
  IncidentAct,
  IncidentBody,
  IncidentCall,
  IncidentQuery,
} from '../services/control/incident-answers.ts';
import type { MigrateBody, MigrateResult } from '../services/control/migrate-answers.ts';
import type { ControlledExecution, RetryBody } from '../services/control/retry-answers.ts';
import type { StartResult } from '../services/execution-answers.ts';
import type { CompleteBody, FailBody, ForceBody } from '../services/steps/answers.ts';
import { type Check, flag, list, number, object, optional, page, started, text } from './answer.ts';
import { queryOf } from './query.ts';
import type { Call } from './send.ts';
import { answered } from './wait-answers.ts';

const dryRun = object<DryRun>({
  dry_run: flag,
  resets: list(text),
  starts: list(text),
  cancels: list(text),
  skips: list(text),
  warnings: list(object<DryRun['warnings'][number]>({ code: text, message: text, step: () => null })),
});

/** The answer of a call, or of its dry run. */
function orDryRun<T>(check: Check<T>): Check<T | DryRun> {
  return (value, place) => {
    const isDry = typeof value === 'object' && value !== null && 'dry_run' in value;
    return isDry ? dryRun(value, place) : check(value, place);
  };
}

const controlled = object<ControlledExecution>({ execution_id: text, status: text });

const bulk = object<BulkResult>({
  dry_run: () => null,
  matched: number,
  changed: number,
  refused: list(object<BulkResult['refused'][number]>({ execution_id: text, code: text })),
  more: flag,
  next_cursor: optional(text),
});

const forked: Check<StartResult | DryRun> = orDryRun(started);

const retried: Check<ControlledExecution | DryRun> = orDryRun(controlled);

const forced = orDryRun(answered);

const incidents = page(
  object<IncidentBody>({
    id: text,
    template: text,
    step: text,
    code: text,
    message: text,
    count: number,
    first_at: text,
    last_at: text,
    examples: list(
      object<IncidentBody['examples'][number]>({
        execution_id: text,
        step_id: text,
        message: text,
        at: text,
      }),
    ),
  }),
);

export interface DryRunOption {
  /** Changes nothing, and says what the call would do. */
  dryRun?: boolean | undefined;
}

/** The body of each call that ends a step by hand. */
export interface Forced {
  complete: CompleteBody;
  fail: FailBody;
  skip: ForceBody;
}

const migrated: Check<MigrateResult | DryRun> = orDryRun(
  object<MigrateResult>({ execution_id: text, status: text, version: number }),
);

export function controlCalls(call: Call) {
  return {
    /** Lets an execution go on that is over. */
    retry: (body: RetryBody) => call('POST', '/api/v1/execution/retry', retried, { body }),
    /** Ends a step by hand: with `force` whatever it does. */
    forceStep: <A extends keyof Forced>(stepId: string, act: A, body: Forced[A]) =>
      call('POST', `/api/v1/steps/${encodeURIComponent(stepId)}/${act}`, forced, { body }),
    /** Pauses an execution: nothing more begins in it. */
    pause: (executionId: string, { dryRun }: DryRunOption = {}) =>
      call('POST', '/api/v1/execution/pause', orDryRun(controlled), {
        body: { execution_id: executionId, dry_run: dryRun },
      }),
    /** Lets a paused execution go on. */
    resume: (executionId: string, { dryRun }: DryRunOption = {}) =>
      call('POST', '/api/v1/execution/resume', orDryRun(controlled), {
        body: { execution_id: executionId, dry_run: dryRun },
      }),
    /** Lists open incidents in groups. */
    listIncidents: (query: IncidentQuery = {}) =>
      call('GET', `/admin/incidents${queryOf({ ...query })}`, incidents),
    /** Tries the steps of a group of incidents again, or makes their failures final. */
    closeIncidents: (groupId: string, act: IncidentAct, body: IncidentCall = {}) =>
      call('POST', `/admin/incidents/${encodeURIComponent(groupId)}/${act}`, bulk, { body }),
    /** Cancels, retries, pauses or resumes all executions that fit a filter. */
    changeMany: (act: BulkAct, body: BulkBody) => call('POST', `/admin/executions/${act}`, bulk, { body }),
    /** Starts an execution that reuses what another one has finished. With a key it may be sent again. */
    fork: (body: ForkBody, idempotencyKey?: string) =>
      call('POST', '/api/v1/execution/fork', forked, { body, idempotencyKey }),
    /** Moves an execution to another version of its template. May be sent again. */
    migrate: (body: MigrateBody & { execution_id: string }) =>
      call('POST', '/api/v1/execution/migrate', migrated, { body }),
  };
}
