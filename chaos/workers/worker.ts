/**
 * A worker for the tasks of a run: a process of its own, as in examples/workers. Each task leaves an effect with the witness and
 * then ends as behaviour.ts says.
 *
 * It knows one address: engines.ts answers there, in the name of any engine.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { behaviourOf, effectOutput } from '../behaviour.ts';
import { Recorder } from '../witness.ts';
import { TASK_QUEUE, type TaskInput } from './task.ts';

interface Task {
  readonly id: string;
  readonly token: string;
  readonly input: TaskInput;
  readonly attempt: number;
  readonly lease_seconds: number;
}

interface Answer {
  readonly status: number;
  readonly body: { readonly tasks?: readonly Task[] };
}

const ENGINES = process.env.ENGINE_URL!;
const NAME = process.env.WORKER_NAME!;
const AT_ONCE = 10;
const CLAIM_WAIT = '2s';
/** An engine that is paused answers nothing. What an answer that came too late had claimed is lost. */
const CALL_TIMEOUT_MS = 4_000;
const CLAIM_TIMEOUT_MS = 15_000;
const PAUSE_MS = 200;
/** Heartbeats in the time of a lease. */
const BEATS = 3;

const recorder = new Recorder(process.env.WITNESS_URL!, NAME);

async function call(path: string, body: object, timeoutMs = CALL_TIMEOUT_MS): Promise<Answer> {
  try {
    const response = await fetch(`${ENGINES}/api/v1/tasks/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  } catch {
    return { status: 503, body: {} };
  }
}

/** Tells a result until it is heard. 409: another worker has the task, or it is over. */
async function tell(path: string, body: object): Promise<void> {
  for (;;) {
    const { status } = await call(path, body);
    if (status < 500 && status !== 429) return;
    await sleep(PAUSE_MS);
  }
}

async function run({ id, token, input, attempt, lease_seconds: lease }: Task): Promise<void> {
  const { seed, place, retries, executionId } = input;
  const traits = {
    kind: 'effect',
    retries,
    hangs: false,
    guarded: false,
    probed: false,
    held: null,
  } as const;
  const { busyMs, failures, result } = behaviourOf(seed, place, traits);
  let isOver = false;
  const beat = setInterval(
    async () => {
      isOver ||= (await call(`${id}/heartbeat`, { token })).status === 409;
    },
    (lease * 1_000) / BEATS,
  );
  await recorder.record({
    executionId,
    stepId: id,
    stepKey: place,
    attempt,
    visit: 0,
    busyMs,
    complaint: null,
  });
  if (busyMs > 0) await sleep(busyMs);
  clearInterval(beat);
  if (isOver) return;
  const error = { code: 'chaos', message: 'as planned' };
  if (attempt <= failures) await tell(`${id}/fail`, { token, error, retryable: true });
  else if (result === 'failed') await tell(`${id}/fail`, { token, error, retryable: false });
  else await tell(`${id}/complete`, { token, output: effectOutput(seed, place) });
}

/** A worker takes what it has room for. */
let room = AT_ONCE;
for (;;) {
  const claim = { queue: TASK_QUEUE, worker: NAME, max: Math.max(1, room), wait: CLAIM_WAIT };
  const { status, body } =
    room > 0 ? await call('claim', claim, CLAIM_TIMEOUT_MS) : { status: 429, body: {} };
  if (status !== 200) await sleep(PAUSE_MS);
  for (const task of body.tasks ?? []) {
    room -= 1;
    run(task).finally(() => {
      room += 1;
    });
  }
}
