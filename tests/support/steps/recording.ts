/**
 * Step types for tests of whole engines. Each records its run before it does anything else.
 *
 * They wait for rows in the database, never for time: what a test holds up goes on when the test says so.
 */

import type { WaitingFor } from '../../../core/event.ts';
import type { JsonObject } from '../../../core/json/json.ts';
import { Parked, type StepContext, StepFailure, type StepType } from '../../../steps/step-type.ts';
import { misbehave } from './misbehaviour.ts';
import { recorderOf } from './recorder.ts';
import { turn } from './turns.ts';

const ANY = { type: 'object' };

/** The step types of one engine, recording into one database. */
export function recordingSteps(url: string, engine: string): StepType[] {
  const recorder = () => recorderOf(url, engine);
  const record = ({ execution, step, attempt }: StepContext, note: string | null = null) =>
    recorder().record({ executionId: execution.id, stepId: step.id, step: step.key, attempt, note });
  const type = (
    name: string,
    run: (context: StepContext) => Promise<unknown>,
    note: (context: StepContext) => string | null = () => null,
  ): StepType => ({
    type: name,
    summary: 'For tests.',
    schema: ANY,
    run: async (context) => {
      await record(context, note(context));
      return run(context);
    },
  });
  return [
    type('record', async ({ params }) => params.value ?? null),
    turn,

    // Waits until the gate is open; an abort ends the wait.
    type('gate', async ({ params, signal }) => {
      await orAbort(recorder().gate(String(params.name)), signal);
      return params.value ?? 'through';
    }),

    // Waits until the gate is open, whatever its signal says.
    type('deaf', async (context) => {
      const { params } = context;
      await recorder().gate(String(params.name));
      await record(context, context.signal.aborted ? 'aborted' : 'not aborted');
      return params.value ?? 'deaf';
    }),

    // Waits until `count` steps are at the place.
    type('barrier', async ({ params, step, signal }) => {
      await orAbort(recorder().arrive(String(params.place), step.id, Number(params.count)), signal);
      return null;
    }),

    // Writes down from when to when it ran: `ms` long, or until a gate is open; then fails its first attempts.
    {
      type: 'interval',
      summary: 'For tests.',
      schema: ANY,
      run: async ({ execution, params, step, attempt, signal }) => {
        const note = String(params.note ?? '');
        const end = await recorder().begin({
          executionId: execution.id,
          stepId: step.id,
          step: step.key,
          attempt,
          note,
        });
        if (params.gate !== undefined) await orAbort(recorder().gate(String(params.gate)), signal);
        await new Promise((resolve) => setTimeout(resolve, Number(params.ms ?? 0)));
        await end();
        if (attempt <= Number(params.failures ?? 0))
          throw new StepFailure('flaky', 'not yet', { retryable: true });
        return note;
      },
    },

    // Fails its first attempts.
    type('flaky', async ({ params, attempt }) => {
      const { failures = 1, retryable = true, code = 'flaky', message = 'not yet' } = params;
      if (attempt > Number(failures)) return { attempt };
      throw new StepFailure(String(code), String(message), {
        retryable: retryable === true,
        details: (params.details ?? null) as JsonObject,
      });
    }),

    // Writes down its idempotency key; waits until its gate is open if it has one, and fails its first attempts.
    type(
      'keyed',
      async ({ params, attempt, signal }) => {
        if (params.name !== undefined) await orAbort(recorder().gate(String(params.name)), signal);
        if (attempt <= Number(params.failures ?? 0))
          throw new StepFailure('flaky', 'not yet', { retryable: true });
        return 'through';
      },
      ({ idempotencyKey }) => idempotencyKey,
    ),

    // Throws what is no StepFailure.
    type('throws', async ({ params }) => {
      if (params.name === 'TypeError') throw new TypeError(String(params.message));
      throw new Error(String(params.message));
    }),

    // Waits for its signal, records why it was aborted, and answers what the definition says.
    type('until-aborted', async (context) => {
      await aborted(context.signal);
      const { code } = context.signal.reason as StepFailure;
      await record(context, code);
      if (context.params.answer === undefined) throw context.signal.reason;
      return context.params.answer;
    }),

    // Says that it is alive for so long.
    type('beats', async ({ params, heartbeat }) => {
      for (const end = performance.now() + Number(params.ms); performance.now() < end; ) {
        heartbeat();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return null;
    }),

    // Leaves the process once, and answers what it was resumed with.
    type('parks', async ({ params, resumed }) =>
      resumed === null ? new Parked({ forMs: Number(params.ms) }, { kept: 'state' }) : resumed.state,
    ),

    // Waits for an answer of the outside.
    {
      ...type('asks', async ({ params }) => {
        const waitingFor: WaitingFor = { kind: 'form', title: params.title ?? null };
        return new Parked(null, null, waitingFor);
      }),
      waitsFor: 'form',
      timeoutIn: 'timeout',
    },

    // The same, for one that may also fail it as it likes: what fails a form is a rejection.
    {
      ...type(
        'asks_worker',
        async () => new Parked(null, null, { kind: 'task', queue: 'tests', claimed_by: null }),
      ),
      waitsFor: 'task',
    },

    // Leaves for something that its type does not declare.
    type('asks_wrongly', async () => new Parked(null, null, { kind: 'form' })),

    // Never has enough of it.
    type('parks_again', async ({ params }) => new Parked({ forMs: Number(params.ms) }, null)),

    // Writes down which process it runs in, and does what `kind` says.
    type('bad', async (context) => misbehave(context), ownPid),

    // Writes down which process it waits in, until the gate is open.
    type(
      'sits',
      async ({ params }) => {
        await recorder().gate(String(params.name));
        return 'through';
      },
      ownPid,
    ),

    type('unstorable', async ({ params }) => unstorable(String(params.kind))),
  ];
}

function ownPid(): string {
  return `pid ${process.pid}`;
}

function unstorable(kind: string): unknown {
  switch (kind) {
    case 'nul':
      return { text: 'a\u0000b' };
    case 'surrogate':
      return ['\ud800'];
    case 'nan':
      return { value: Number.NaN };
    case 'infinity':
      return Number.POSITIVE_INFINITY;
    case 'deep':
      return nested(600);
    case 'big':
      return 'x'.repeat(2 * 1024 * 1024);
    case 'function':
      return { call: () => {} };
    case 'cycle': {
      const cycle: Record<string, unknown> = {};
      cycle.self = cycle;
      return cycle;
    }
    default:
      throw new Error(`no unstorable value is called ${kind}`);
  }
}

function nested(depth: number): unknown {
  let value: unknown = 'deep';
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

async function orAbort(work: Promise<void>, signal: AbortSignal): Promise<void> {
  await Promise.race([work, aborted(signal)]);
  signal.throwIfAborted();
}
