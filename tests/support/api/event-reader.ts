/**
 * A reader of server-sent events, as a client is: it keeps the last id, and can be broken off and resumed.
 */
import type { EventBody } from '../../../services/history/event-answers.ts';

export interface ReadEvent extends EventBody {}

/** Reads until `isLast` is true for an event, or the stream ends. Returns the events in the order in which they came. */
export async function readEvents(
  url: string,
  isLast: (event: ReadEvent) => boolean,
  after?: string,
): Promise<ReadEvent[]> {
  const events: ReadEvent[] = [];
  for await (const event of eventsOf(url, after)) {
    events.push(event);
    if (isLast(event)) break;
  }
  return events;
}

export async function* eventsOf(url: string, after?: string): AsyncGenerator<ReadEvent, void> {
  const response = await fetch(url, {
    headers: { accept: 'text/event-stream', ...(after === undefined ? {} : { 'last-event-id': after }) },
  });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk, { stream: true });
    const frames = text.split('\n\n');
    text = frames.pop()!;
    for (const frame of frames) {
      const [, id, data] = /^id: (.*)\ndata: (.*)$/.exec(frame) ?? [];
      if (id !== undefined && data !== undefined) yield { ...JSON.parse(data), id };
    }
  }
}
