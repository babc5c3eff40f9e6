/**
 * How the end of a step host is told: to the log, and in the failure of the step that brought it about.
 */
import type { Exit } from '../../process/framed-process.ts';
import { StepFailure } from '../../steps/step-type.ts';
import type { Doom, StepHost } from './host.ts';
import type { HostedRun } from './run.ts';

const DOOMS: Readonly<Record<Doom, string>> = {
  hung: 'it did not answer any more and was killed',
  displaced: 'a handler in it went on after its end without ever yielding, and it was killed',
  memory: 'it used more memory than EXECUTION_ENGINE_STEP_MEMORY allows and was killed',
  retired: 'it was not needed any more',
  unstartable: 'it could not load the step types',
};

/** Half a sentence. */
export function endOf({ doom, broken }: Pick<StepHost, 'doom' | 'broken'>, { code, signal }: Exit): string {
  if (broken !== null) return `it could not load the step types: ${broken}`;
  if (doom !== null) return DOOMS[doom];
  if (signal !== null) return `it was ended by the signal ${signal}`;
  return code === null ? 'it could not be started' : `it exited with code ${code}`;
}

/** What becomes of a step that ran alone in a process that died. */
export function poisoned({ call }: HostedRun, host: StepHost, exit: Exit): StepFailure {
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
