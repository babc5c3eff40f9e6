/**
 * Reports of a step host: its output and its end, in the log and in the failure of the step that caused it.
 */
import type { Exit } from '../../process/framed-process.ts';
import { StepFailure } from '../../steps/step-type.ts';
import type { Log } from '../../telemetry/log.ts';

/** Reason for which the engine ended a host. */
export type KillReason = 'hung' | 'displaced' | 'memory' | 'retired' | 'unstartable';

interface EndedHost {
  readonly pid: number | null;
  readonly killReason: KillReason | null;
  /** Reason why it could not load the step types; null: it could. */
  readonly broken: string | null;
}

/** The handlers that were in a process at its end. */
interface RunsAtEnd {
  /** Attempts that were lost. */
  readonly lost: readonly LostRun[];
  /** Handlers that went on after the end of their attempts. */
  readonly over: readonly LostRun[];
}

interface LostRun {
  readonly call: {
    readonly type: string;
    readonly crashes: number;
    readonly context: {
      readonly execution: { readonly id: string; readonly template: string; readonly version: number };
      readonly step: { readonly key: string };
    };
  };
}

const KILL_REASONS: Readonly<Record<KillReason, string>> = {
  hung: 'it did not answer any more and was killed',
  displaced: 'a handler in it went on after its end without ever yielding, and it was killed',
  memory: 'it used more memory than EXECUTION_ENGINE_STEP_MEMORY allows and was killed',
  retired: 'it was not needed any more',
  unstartable: 'it could not load the step types',
};

/** Returns a clause for a log line or an error message. */
export function endOf({ killReason, broken }: Omit<EndedHost, 'pid'>, { code, signal }: Exit): string {
  if (broken !== null) return `it could not load the step types: ${broken}`;
  if (killReason !== null) return KILL_REASONS[killReason];
  if (signal !== null) return `it was ended by the signal ${signal}`;
  return code === null ? 'it could not be started' : `it exited with code ${code}`;
}

/** Returns the failure of a step that ran alone in a process that died. */
export function poisoned({ call }: LostRun, host: EndedHost, exit: Exit): StepFailure {
  const message =
    `The step ran alone after its process had died ${call.crashes} times, and this process died too: ` +
    `${endOf(host, exit)}. Mend the handler, or what it is given, and start a new execution.`;
  return new StepFailure('poison', message, {
    details: { crashes: call.crashes + 1, exit_code: exit.code, signal: exit.signal },
  });
}

export function unavailable(why: string): StepFailure {
  return new StepFailure('host_unavailable', `No process could be started for the step: ${why}`, {
    retryable: true,
  });
}

const MAX_NAMED = 10;

export function logEnd(log: Log, host: EndedHost, exit: Exit, { lost, over }: RunsAtEnd): void {
  const because = host.killReason === null ? {} : { because: host.killReason };
  const handlers = {
    steps: lost.length,
    lost: named(lost),
    ...(over.length === 0 ? {} : { over: named(over) }),
  };
  const line = `A process of steps has ended: ${endOf(host, exit)}`;
  log.warn({ pid: host.pid, ...exit, ...handlers, ...because }, line);
}

function named(runs: readonly LostRun[]) {
  return runs.slice(0, MAX_NAMED).map(({ call: { context, type } }) => ({
    execution: context.execution.id,
    template: context.execution.template,
    version: context.execution.version,
    step: context.step.key,
    type,
  }));
}

export function logOutput(
  log: Log,
  { pid }: Pick<EndedHost, 'pid'>,
  line: string,
  stream: 'stdout' | 'stderr',
): void {
  if (stream === 'stderr') log.warn({ pid, stream }, line);
  else log.info({ pid, stream }, line);
}

export function logOutOfOrder(log: Log, why: string): void {
  log.error(
    { why },
    'No process of steps can be started; steps of your own types wait for an engine that can, or until it works again',
  );
}

export function logInOrder(log: Log): void {
  log.info('Processes of steps can be started again');
}
