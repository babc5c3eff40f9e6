/**
 * Events as they happen. One feed for each stream that somebody reads here, whoever many they are: a commit of this engine
 * marks it, and one reader for all of them reads what is new from the database and hands it on.
 *
 * Events are read, not guessed from the commit: the events are those that a replay has, with the same ids and times.
 * Feeds are read one after the other, with pauses as long as the reads take: streams take one connection at most, for half of
 * the time.
 *
 * Invariant 1: a feed hands on all events behind its place, in order, and then moves it.
 * Invariant 2: a reader that joins before it begins its replay misses nothing: the feed's place is not behind the replay.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { EventPlace } from '../../core/history/event-id.ts';
import type { StepStatus } from '../../core/status.ts';
import type { Db } from '../../db/connection/client.ts';
import { readAdvanced } from '../../db/history/events.ts';
import type { CommitSubscriber } from '../../door/commit-subscriber.ts';
import type { DecidedUnit } from '../../door/unit.ts';
import type { StreamName } from './event-answers.ts';
import { type PlacedEvent, readEnd, readEventPage } from './event-pages.ts';

const PAGE = 500;
/** Of statuses that are remembered until they are read. */
const MAX_REMEMBERED = 10_000;
const AFTER_FAILURE_MS = 500;

/** One that gets the events of a feed. */
export interface FeedReader {
  push(events: readonly PlacedEvent[]): void;
  /** The execution is gone. */
  end(): void;
}

export class Feed {
  readonly stream: StreamName;
  readonly readers = new Set<FeedReader>();
  /** The end of what was handed on; null: not known yet. */
  place: EventPlace | null = null;
  /** Something has happened while the place was not known. */
  hasNews = false;
  /** Statuses that steps had before, by the place of the change. */
  readonly before = new Map<string, StepStatus>();

  constructor(stream: StreamName) {
    this.stream = stream;
  }
}

export interface EventFeedsOptions {
  readonly db: Db;
  onError(error: unknown): void;
}

export class EventFeeds implements CommitSubscriber {
  readonly #options: EventFeedsOptions;
  readonly #feeds = new Map<string, Map<string, Feed>>();
  readonly #marked = new Set<Feed>();
  #reading = false;
  #closed = false;

  constructor(options: EventFeedsOptions) {
    this.#options = options;
  }

  /** Adds a reader, and returns its feed; null: the stream is not there. */
  async join(stream: StreamName, reader: FeedReader): Promise<Feed | null> {
    const feed = this.#feedOf(stream);
    feed.readers.add(reader);
    try {
      if (feed.place === null) {
        const end = await readEnd(this.#options.db, stream);
        feed.place ??= end;
        if (end === null) this.leave(feed, reader);
        if (end === null) return null;
      }
    } catch (error) {
      this.leave(feed, reader);
      throw error;
    }
    if (feed.hasNews) this.#mark(feed);
    return feed;
  }

  leave(feed: Feed, reader: FeedReader): void {
    feed.readers.delete(reader);
    if (feed.readers.size > 0) return;
    const { executionId, scope } = feed.stream;
    const feeds = this.#feeds.get(executionId);
    if (feeds?.get(scope) === feed) feeds.delete(scope);
    if (feeds?.size === 0) this.#feeds.delete(executionId);
    this.#marked.delete(feed);
  }

  committed(units: readonly DecidedUnit[]): void {
    if (this.#feeds.size === 0) return;
    for (const { actor, plan } of units) {
      const feeds = this.#feeds.get(actor.executionId);
      if (feeds === undefined || !plan.changed) continue;
      // The scopes below may have ended with it.
      for (const feed of feeds.values()) this.#mark(feed);
      const feed = feeds.get(plan.view.scope?.path ?? '');
      if (feed === undefined || feed.before.size > MAX_REMEMBERED) continue;
      const { sequence, graph } = plan.view;
      for (const [slot, { from, state }] of plan.steps)
        if (from !== null && from.status !== state.status)
          feed.before.set(`${sequence}.${graph.firstPosition + slot}`, from.status);
    }
  }

  /** Something may have happened to executions elsewhere. */
  wake(executionIds: Iterable<string>): void {
    for (const id of executionIds) for (const feed of this.#feeds.get(id)?.values() ?? []) this.#mark(feed);
  }

  /** Looks for commits of other engines: one statement for all executions. A scope has a count of its own: it is read. */
  async lookElsewhere(): Promise<void> {
    if (this.#feeds.size === 0) return;
    const seen: { executionId: string; sequence: number }[] = [];
    for (const [executionId, feeds] of this.#feeds) {
      for (const [scope, feed] of feeds) {
        if (scope !== '') this.#mark(feed);
        else if (feed.place !== null) seen.push({ executionId, sequence: feed.place.sequence });
      }
    }
    if (seen.length > 0) this.wake(await readAdvanced(this.#options.db, seen));
  }

  close(): void {
    this.#closed = true;
    for (const feeds of this.#feeds.values())
      for (const { readers } of feeds.values()) for (const reader of [...readers]) reader.end();
  }

  #feedOf(stream: StreamName): Feed {
    const { executionId, scope } = stream;
    const feeds = this.#feeds.get(executionId) ?? new Map<string, Feed>();
    this.#feeds.set(executionId, feeds);
    const feed = feeds.get(scope) ?? new Feed(stream);
    feeds.set(scope, feed);
    return feed;
  }

  #mark(feed: Feed): void {
    this.#marked.add(feed);
    if (this.#reading || this.#closed) return;
    this.#reading = true;
    void this.#readMarked().finally(() => {
      this.#reading = false;
    });
  }

  async #readMarked(): Promise<void> {
    // All that comes in this turn of the event loop is read together.
    await delay(0);
    while (this.#marked.size > 0 && !this.#closed) {
      const begun = performance.now();
      const [feed] = this.#marked;
      this.#marked.delete(feed!);
      try {
        await this.#read(feed!);
      } catch (error) {
        this.#options.onError(error);
        if (feed!.readers.size > 0) this.#marked.add(feed!);
        await delay(AFTER_FAILURE_MS);
      }
      await delay(performance.now() - begun);
    }
  }

  async #read(feed: Feed): Promise<void> {
    feed.hasNews = feed.place === null;
    for (let isWhole = false; !isWhole && feed.place !== null && feed.readers.size > 0; ) {
      const page = await readEventPage(this.#options.db, feed.stream, { after: feed.place, limit: PAGE });
      if (page === null) {
        for (const reader of [...feed.readers]) reader.end();
        return;
      }
      for (const { body } of page.events)
        if (body.from === null) body.from = feed.before.get(body.id) ?? null;
      feed.place = page.head;
      isWhole = page.isWhole;
      if (page.events.length > 0) for (const reader of feed.readers) reader.push(page.events);
    }
    feed.before.clear();
  }
}
