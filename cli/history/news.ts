/**
 * Tells a command when to look at an execution again: when something has happened to it, and now and then besides, since
 * also time that passes is shown.
 */
import type { EngineClient } from '../../client/engine-client.ts';

/** The time between two looks when nothing happens. */
const LOOK_MS = 1_000;
/** The same where there are no events: an engine of an earlier version, or a proxy that keeps them back. */
const LOOK_WITHOUT_EVENTS_MS = 200;
/** What happens in so short a time is shown together. */
const TOGETHER_MS = 50;

export class News {
  #hasNews = false;
  #hasEvents = false;
  #wake: (() => void) | null = null;

  /** @param signal ends it */
  constructor(client: EngineClient, executionId: string, signal: AbortSignal) {
    void this.#read(client, executionId, signal).catch(() => {
      this.#hasEvents = false;
      this.#wake?.();
    });
  }

  /** Resolves when it is time to look. */
  async next(): Promise<void> {
    await pause(TOGETHER_MS);
    if (!this.#hasNews) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await Promise.race([promise, pause(this.#hasEvents ? LOOK_MS : LOOK_WITHOUT_EVENTS_MS)]);
      this.#wake = null;
    }
    this.#hasNews = false;
  }

  async #read(client: EngineClient, executionId: string, signal: AbortSignal): Promise<void> {
    for await (const _ of client.events(executionId, { signal })) {
      this.#hasEvents = true;
      this.#hasNews = true;
      this.#wake?.();
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
