/**
 * The events of an execution as they happen, as an async iterator that connects again by itself.
 *
 * Invariant 1: after a lost connection it goes on after the last event that it has given: none is missed or given twice.
 * Invariant 2: an engine that was never reached, or says no, ends it with the error.
 */
import type { EventBody } from '../services/history/event-answers.ts';
import { EngineProblem, EngineUnreachable } from './failure.ts';
import { queryOf } from './query.ts';
import { createOpen, type EngineClientOptions, wait } from './send.ts';

export interface EventsOptions {
  /** The steps of this scope; default the top level. */
  scope?: string | undefined;
  /** The id of an event: begins after it. */
  after?: string | undefined;
  /** Ends the iterator with its reason. */
  signal?: AbortSignal | undefined;
}

/** The engine says something every 15 s. */
const MAX_SILENCE_MS = 45_000;
const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5_000;

/** Returns the events of executions, of an engine. */
export function createEventStream(options: EngineClientOptions) {
  const open = createOpen(options);
  const { sleep = wait } = options;
  return async function* events(
    executionId: string,
    { scope, after, signal }: EventsOptions = {},
  ): AsyncGenerator<EventBody, void> {
    let last = after;
    let hasAnswered = false;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, MAX_PAUSE_MS)) {
      const path = `/api/v1/execution/events${queryOf({ execution_id: executionId, scope, after: last })}`;
      const over = new AbortController();
      const either = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal]);
      try {
        const body = await open(path, 'text/event-stream', either);
        hasAnswered = true;
        for await (const event of readEvents(body, over)) {
          pause = FIRST_PAUSE_MS;
          last = event.id;
          yield event;
        }
      } catch (error) {
        signal?.throwIfAborted();
        if (!mayPass(error, hasAnswered)) throw error;
      } finally {
        over.abort();
      }
      await sleep(pause, signal);
    }
  };
}

function mayPass(error: unknown, hasAnswered: boolean): boolean {
  if (error instanceof EngineProblem) return error.status >= 500 || error.status === 429;
  return hasAnswered || !(error instanceof EngineUnreachable);
}

/** Aborts the connection when it is silent for too long. */
async function* readEvents(
  body: ReadableStream<Uint8Array>,
  over: AbortController,
): AsyncGenerator<EventBody, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const silence = setTimeout(() => over.abort(new Error('The engine fell silent.')), MAX_SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const frames = text.split('\n\n');
    text = frames.pop()!;
    for (const frame of frames) {
      const event = eventOf(frame);
      if (event !== null) yield event;
    }
  }
}

/** Returns the event of a frame; null: it has none. */
function eventOf(frame: string): EventBody | null {
  const fields = new Map(
    frame.split('\n').map((line): [string, string] => {
      const at = line.indexOf(': ');
      return at === -1 ? [line, ''] : [line.slice(0, at), line.slice(at + 2)];
    }),
  );
  const [id, data] = [fields.get('id'), fields.get('data')];
  return id === undefined || data === undefined ? null : { id, ...JSON.parse(data) };
}
