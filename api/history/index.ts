/**
 * The calls that tell what happens to an execution, and what has happened.
 */
import type { EventPort } from '../../services/history/event-answers.ts';
import type { Router } from '../route.ts';
import { EventLogQueryShape, EventLogShape, EventsQueryShape, LastEventIdShape } from './bodies.ts';
import { answerEvents } from './event-stream.ts';

const TAG = 'Events';

/** Mounts the calls on events. */
export function addHistoryRoutes(router: Router, events: EventPort): void {
  addStream(router, events);
  addLog(router, events);
}

function addStream(router: Router, events: EventPort): void {
  router.add({
    method: 'get',
    path: '/api/v1/execution/events',
    access: 'viewer',
    tag: TAG,
    summary: 'Follow an execution: every change as it happens, as server-sent events',
    description:
      'Begins with what has happened so far, or after the event that `Last-Event-ID` names. The data of an event is an `Event` without its id.',
    query: EventsQueryShape,
    headers: LastEventIdShape,
    responses: { 200: { description: 'The stream', mediaType: 'text/event-stream' } },
    errors: ['execution_not_found', 'scope_not_found', 'unavailable'],
    async handle({ query }, { c, identity }) {
      const stream = { executionId: query.execution_id, scope: query.scope ?? '' };
      // A client without a last event may send an empty header.
      const last = c.req.header('Last-Event-ID') || query.after;
      return answerEvents(c, await events.stream(identity, stream, last));
    },
  });
}

function addLog(router: Router, events: EventPort): void {
  router.add({
    method: 'get',
    path: '/api/v1/execution/event-log',
    access: 'viewer',
    tag: TAG,
    summary: 'List what has happened to an execution',
    description:
      'The events of the stream, in pages. `next_cursor` is the `after` of the next page; with `before` alone it is the `before` of the page that comes before.',
    query: EventLogQueryShape,
    responses: { 200: { description: 'A page of events, in order', schema: EventLogShape } },
    errors: ['execution_not_found', 'scope_not_found', 'unavailable'],
    async handle({ query }, { c, identity }) {
      const { execution_id: executionId, scope = '', after, before, limit } = query;
      return c.json(await events.log(identity, { executionId, scope, after, before, limit }));
    },
  });
}
