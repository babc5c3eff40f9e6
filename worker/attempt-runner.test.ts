/** What a process can run while none of its step hosts can be started. */
import { expect, test } from 'bun:test';
import type { Loaded } from '../door/actor.ts';
import { AttemptRunner, type AttemptRunnerOptions } from './attempt-runner.ts';

const FAULT = { pointer: '', code: 'unknown_step_type', message: '' };

function runner(areUsable: boolean): AttemptRunner {
  const options: Partial<AttemptRunnerOptions> = {
    userTypes: new Set(['own']),
    hosts: { areUsable, run: () => Promise.reject(new Error('not called')) },
  };
  return new AttemptRunner(options as AttemptRunnerOptions);
}

/** An execution with a built-in step, one of the operator's own and one that is not known here. */
function loadedWith(crashes: number): Loaded {
  const version = {
    hasFaults: true,
    steps: [
      { fault: null, step: { type: 'noop' } },
      { fault: null, step: { type: 'own' } },
      { fault: FAULT, step: { type: 'other' } },
    ],
  };
  const view = { steps: version.steps.map(() => ({ crashes })) };
  const step = (slot: number) => version.steps[slot];
  return { version, view, step } as unknown as Loaded;
}

const runs = (areUsable: boolean, crashes: number) =>
  [0, 1, 2].map((slot) => runner(areUsable).canRun({ loaded: loadedWith(crashes), slot }));

test('with hosts it runs all that it knows', () => {
  expect([runs(true, 0), runs(true, 2)]).toEqual([
    [true, true, false],
    [true, true, false],
  ]);
});

test('without hosts it runs built-in steps, but for those whose engine has died twice', () => {
  expect([runs(false, 0), runs(false, 2)]).toEqual([
    [true, false, false],
    [false, false, false],
  ]);
});
