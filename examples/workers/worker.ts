/**
 * A worker for steps of the type `task`: claims texts from the queue `texts` and counts their words.
 *
 * ENGINE_URL and ENGINE_KEY say where the engine is. Replace `work` by what your tasks are about.
 */
const ENGINE = process.env.ENGINE_URL ?? 'http://localhost:3020';
const KEY = process.env.ENGINE_KEY;
const QUEUE = process.env.QUEUE ?? 'texts';
const WORKER = `worker.ts ${process.pid}`;

interface Task {
  readonly id: string;
  readonly token: string;
  readonly input: unknown;
  readonly attempt: number;
  /** The same for every attempt: pass it on with effects that must not happen twice. */
  readonly idempotency_key: string;
  readonly lease_seconds: number;
}

let open = true;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    open = false;
  });

async function work({ input }: Task, signal: AbortSignal): Promise<unknown> {
  const { text } = input as { text?: unknown };
  if (typeof text !== 'string') throw new TypeError('The input has no "text".');
  signal.throwIfAborted();
  return { words: text.split(/\s+/).filter(Boolean).length, by: WORKER };
}

async function call(
  path: string,
  body: object,
): Promise<{ status: number; answer: Record<string, unknown> }> {
  const response = await fetch(`${ENGINE}/api/v1/tasks/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(KEY ? { authorization: `Bearer ${KEY}` } : {}) },
    body: JSON.stringify(body),
  });
  return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
}

/** Tells a result until the engine has heard it. 409: another worker has the task, or it is over. */
async function tell(path: string, body: object): Promise<void> {
  for (let tries = 0; tries < 10; tries += 1) {
    const { status } = await call(path, body).catch(() => ({ status: 503 }));
    if (status < 500 && status !== 429) return;
    await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries));
  }
}

async function run(task: Task): Promise<void> {
  const { id, token, lease_seconds: lease } = task;
  const lost = new AbortController();
  const beat = setInterval(async () => {
    const { status } = await call(`${id}/heartbeat`, { token }).catch(() => ({ status: 503 }));
    if (status === 409) lost.abort(new Error('The task is over, or another worker has it.'));
  }, lease * 333);
  try {
    const output = await work(task, lost.signal);
    await tell(`${id}/complete`, { token, output });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (!lost.signal.aborted)
      await tell(`${id}/fail`, { token, error: { code: 'work_failed', message }, retryable: false });
  } finally {
    clearInterval(beat);
  }
}

console.log(`${WORKER} claims from ${QUEUE} at ${ENGINE}`);
while (open) {
  try {
    const { status, answer } = await call('claim', { queue: QUEUE, worker: WORKER, max: 4, wait: '20s' });
    if (status !== 200) throw new Error(`The claim was answered ${status}.`);
    await Promise.all((answer.tasks as Task[]).map(run));
  } catch (error) {
    console.error((error as Error).message);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

export {};
