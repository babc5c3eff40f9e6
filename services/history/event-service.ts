/**
 * The events of an execution: pages of what has happened, and streams that go on with what happens.
 *
 * A stream replays what is behind the reader's last event from the database, a page each time that the reader asks, and
 * then goes on with its feed. A reader that falls behind is taken off the feed's events and replays again: its memory is
 * bounded, and it misses nothing.
 */
import { BEGIN, comparePlaces, type EventPlace, placeOf } from '../../core/history/event-id.ts';
import { EngineError } from '../../core/problem.ts';
import type { Pool } from '../../db/connection/client.ts';
import { readStates } from '../../db/execution-queries.ts';
import type { Caller } from '../caller.ts';
import type { Page } from '../page.ts';
import { noScope, visible } from '../visible.ts';
import type { EventBody, EventLogQuery, EventPort, EventStream, StreamName } from './event-answers.ts';
import type { EventFeeds, Feed, FeedReader } from './event-feeds.ts';
import { type PlacedEvent, readEventPage } from './event-pages.ts';

const DEFAULT_PAGE = 100;
/** Of a replay. */
const REPLAYED_AT_ONCE = 200;
/** Events that wait for a reader before it counts as behind. */
const MAX_WAITING = 1_000;
/** Time without events after which a reader gets a sign of life. */
const BEAT_MS = 15_000;

export interface EventServiceOptions {
  readonly pool: Pool;
  readonly feeds: EventFeeds;
}

export class EventService implements EventPort {
  readonly #options: EventServiceOptions;

  constructor(options: EventServiceOptions) {
    this.#options = options;
  }

  async log(caller: Caller, query: EventLogQuery): Promise<Page<EventBody>> {
    const { executionId, scope, after, before, limit = DEFAULT_PAGE } = query;
    await this.#refuseUnseen(caller, executionId);
    const range = { after: placeIn(after, 'after'), before: placeIn(before, 'before'), limit };
    const fromEnd = before !== undefined && after === undefined;
    const page = await readEventPage(this.#options.pool, { executionId, scope }, range, fromEnd);
    if (page === null) throw missing({ executionId, scope });
    const data = page.events.map(({ body }) => body);
    const next = fromEnd ? data[0] : data.at(-1);
    return { data, next_cursor: page.isWhole ? null : (next?.id ?? null) };
  }

  async stream(caller: Caller, stream: StreamName, after?: string): Promise<EventStream> {
    const { pool, feeds } = this.#options;
    const place = placeIn(after, 'Last-Event-ID') ?? BEGIN;
    await this.#refuseUnseen(caller, stream.executionId);
    const reader = new Reader(pool, stream, place, () => {
      if (feed !== null) feeds.leave(feed, reader);
    });
    const feed: Feed | null = await feeds.join(stream, reader);
    if (feed === null) throw missing(stream);
    return reader;
  }

  async #refuseUnseen(caller: Caller, executionId: string): Promise<void> {
    const [state] = await readStates(this.#options.pool, [executionId]);
    visible(caller, 'execution', executionId, state ?? null);
  }
}

class Reader implements EventStream, FeedReader {
  readonly #pool: Pool;
  readonly #stream: StreamName;
  readonly #leave: () => void;
  /** The end of what it has got. */
  #place: EventPlace;
  #waiting: PlacedEvent[] = [];
  /** It reads from the database what it has missed. */
  #isBehind = true;
  /** Something has happened since it last began to read. */
  #hasNews = false;
  #isOver = false;
  #wake: (() => void) | null = null;

  constructor(pool: Pool, stream: StreamName, place: EventPlace, leave: () => void) {
    this.#pool = pool;
    this.#stream = stream;
    this.#place = place;
    this.#leave = leave;
  }

  push(events: readonly PlacedEvent[]): void {
    this.#hasNews = true;
    if (this.#waiting.length + events.length > MAX_WAITING) {
      this.#waiting = [];
      this.#isBehind = true;
    }
    if (!this.#isBehind) this.#waiting.push(...events);
    this.#wake?.();
  }

  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  close(): void {
    this.end();
    this.#leave();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly EventBody[], void> {
    try {
      while (!this.#isOver) {
        const events = this.#isBehind ? await this.#replay() : this.#take();
        if (events.length > 0) yield events;
        else if (!this.#isBehind && !this.#isOver && !(await this.#news())) yield events;
      }
    } finally {
      this.close();
    }
  }

  /** Returns the next events from the database. Once there are no more, and nothing has happened meanwhile, the feed has the rest. */
  async #replay(): Promise<EventBody[]> {
    this.#hasNews = false;
    const page = await readEventPage(this.#pool, this.#stream, {
      after: this.#place,
      limit: REPLAYED_AT_ONCE,
    });
    if (page === null) {
      this.#isOver = true;
      return [];
    }
    this.#place = page.head;
    if (page.isWhole && !this.#hasNews) this.#isBehind = false;
    return page.events.map(({ body }) => body);
  }

  /** Returns the events of the feed that it has not got by a replay. */
  #take(): EventBody[] {
    const events = this.#waiting.filter(({ place }) => comparePlaces(place, this.#place) > 0);
    this.#waiting = [];
    this.#place = events.at(-1)?.place ?? this.#place;
    return events.map(({ body }) => body);
  }

  /** Waits for news; false: there are none for a while. */
  async #news(): Promise<boolean> {
    if (this.#waiting.length > 0 || this.#isBehind) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const beat = setTimeout(() => resolve(false), BEAT_MS);
    this.#wake = () => resolve(true);
    const hasNews = await promise;
    this.#wake = null;
    clearTimeout(beat);
    return hasNews;
  }
}

/** @throws EngineError for what is no id of an event */
function placeIn(id: string | undefined, pointer: string): EventPlace | undefined {
  if (id === undefined) return undefined;
  const place = placeOf(id);
  if (place !== null) return place;
  const message = `${pointer} is no id of an event; give one as it came, such as 12.3.`;
  throw new EngineError('validation_failed', message, [
    { pointer: `/${pointer}`, code: 'wrong_format', message },
  ]);
}

function missing({ executionId, scope }: StreamName): EngineError {
  if (scope !== '') return noScope(executionId, scope);
  return new EngineError('execution_not_found', `There is no execution ${executionId} in this workspace.`);
}
