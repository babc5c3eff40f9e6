/**
 * What the log says of step hosts: how they ended, and what their handlers print.
 */
import type { Exit } from '../../process/framed-process.ts';
import type { Log } from '../../telemetry/log.ts';
import type { StepHost } from './host.ts';
import { endOf } from './host-end.ts';
import type { HostedRun } from './run.ts';

const MAX_NAMED = 10;

/** @param lost what was in it */
export function logEnd(log: Log, host: StepHost, exit: Exit, lost: readonly HostedRun[]): void {
  const named = lost.slice(0, MAX_NAMED).map(({ call: { context, type } }) => ({
    execution_id: context.execution.id,
    step: context.step.key,
    type,
  }));
  const because = host.doom === null ? {} : { because: host.doom };
  const fields = { pid: host.pid, ...exit, steps: lost.length, lost: named, ...because };
  log.warn(fields, `A process of steps has ended: ${endOf(host, exit)}`);
}

export function logOutput(log: Log, { pid }: StepHost, line: string, stream: 'stdout' | 'stderr'): void {
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
