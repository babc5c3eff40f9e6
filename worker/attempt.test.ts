import { expect, test } from 'bun:test';
import type { StepFailure } from '../steps/step-type.ts';
import { Attempt } from './attempt.ts';

function attempt(): Attempt {
  return new Attempt(
    { id: 'execution', template: 'test', version: 1 },
    { view: 'execution', slot: 0 },
    'step',
    { attempt: 1, owner: 'engine' },
    0,
    () => {},
  );
}

/** Resolves with the reason once the attempt has been silent for so long. */
function silence(of: Attempt, ms: number): Promise<StepFailure> {
  return new Promise((resolve) => {
    of.armHeartbeat(ms, resolve);
    of.resumeTimeouts();
  });
}

test('an attempt that is told to stop is not given up for its silence: what it answers in time counts', async () => {
  const stopped = attempt();
  const reasons: StepFailure[] = [];
  silence(stopped, 20).then((reason) => reasons.push(reason));
  stopped.stop();
  expect((await silence(attempt(), 40)).code).toBe('heartbeat_timeout');
  expect(reasons).toEqual([]);
  expect(stopped.isDone).toBe(false);
  expect(stopped.abortReason?.code).toBe('stopped');
  stopped.finish();
});

test('an attempt is not given up for its silence while its process is held up by another', async () => {
  const innocent = attempt();
  let looks = 0;
  let pings = 0;
  innocent.remote = {
    aborted: () => {},
    finished: () => {},
    ping: () => {
      pings += 1;
    },
    isHeldUp: () => {
      looks += 1;
      return looks < 3;
    },
  };
  const { code, retryable } = await silence(innocent, 10);
  expect({ code, retryable, looks, pings }).toEqual({
    code: 'heartbeat_timeout',
    retryable: true,
    looks: 3,
    pings: 3,
  });
  innocent.finish();
});
