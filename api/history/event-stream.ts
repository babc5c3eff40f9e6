/**
 * Answers with a stream of server-sent events.
 *
 * Invariant 1: events are read as the client takes them: a slow one holds one batch here, and nothing more.
 * Invariant 2: a client that takes nothing for a minute is cut off; it can resume after its last event.
 * Invariant 3: when the server drains, the answer ends between two events.
 */
import type { Context } from 'hono';
import type { EventBody, EventStream } from '../../services/history/event-answers.ts';
import type { ApiEnv } from '../context.ts';

const MAX_UNREAD_MS = 60_000;
/** How long a browser waits before it connects again. */
const RETRY = 'retry: 1000\n\n';
const BEAT = ':\n\n';

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  // A proxy must not keep events back until it has many of them.
  'X-Accel-Buffering': 'no',
};

export function answerEvents(c: Context<ApiEnv>, stream: EventStream): Response {
  const close = () => stream.close();
  for (const signal of [c.env?.draining, c.req.raw.signal]) {
    if (signal?.aborted) close();
    signal?.addEventListener('abort', close, { once: true });
  }
  return c.body(streamOf(stream), 200, HEADERS);
}

function streamOf(stream: EventStream): ReadableStream<Uint8Array> {
  const events = stream[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let unread: ReturnType<typeof setTimeout> | undefined;
  return new ReadableStream({
    start(controller) {
      controller.enqueue(encoder.encode(RETRY));
    },
    async pull(controller) {
      clearTimeout(unread);
      const { done, value } = await events.next();
      if (done === true) {
        controller.close();
        return;
      }
      controller.enqueue(encoder.encode(textOf(value)));
      unread = setTimeout(() => {
        stream.close();
        controller.error(new Error('The client has taken nothing for a minute.'));
      }, MAX_UNREAD_MS);
      unread.unref();
    },
    cancel() {
      clearTimeout(unread);
      stream.close();
    },
  });
}

function textOf(events: readonly EventBody[]): string {
  if (events.length === 0) return BEAT;
  return events.map(({ id, ...data }) => `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`).join('');
}
