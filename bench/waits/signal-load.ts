/**
 * Signals as a load: at a fixed rate that does not wait, and one after the other by many clients. Each ends one execution.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { inFlight } from '../subject/protocol.ts';

export interface Signalled {
  readonly sent: number;
  readonly failed: number;
  /** From the first signal to the answer of the last. */
  readonly seconds: number;
  /** Milliseconds from the moment a signal was due until its execution's end was seen, of those that were watched. */
  readonly times: readonly number[];
}

type Send = (executionId: string) => Promise<unknown>;

/** Signals a second whose end is watched. */
const WATCHED_PER_SECOND = 50;
const TICK_MS = 2;

/** Sends a signal to each execution, `perSecond`, whether or not those before were answered. */
export async function signalsAtRate(
  send: Send,
  ids: readonly string[],
  perSecond: number,
  url: string,
): Promise<Signalled> {
  const times: number[] = [];
  const pending: Promise<void>[] = [];
  let failed = 0;
  const begun = performance.now();
  const every = Math.max(1, Math.round(perSecond / WATCHED_PER_SECOND));
  const signal = async (id: string, due: number, isWatched: boolean) => {
    try {
      const end = isWatched ? untilEnded(url, id) : null;
      await send(id);
      if (end === null) return;
      await end;
      times.push(performance.now() - due);
    } catch {
      failed += 1;
    }
  };
  while (pending.length < ids.length) {
    const due = Math.min(ids.length, Math.floor(((performance.now() - begun) / 1_000) * perSecond));
    for (let at = pending.length; at < due; at += 1)
      pending.push(signal(ids[at]!, begun + (at / perSecond) * 1_000, at % every === 0));
    await delay(TICK_MS);
  }
  await Promise.all(pending);
  return { sent: ids.length, failed, seconds: (performance.now() - begun) / 1_000, times };
}

/** Takes ids from the list and signals them, each client one at a time, until the list or the time is over. */
export async function signalsInTurn(
  send: Send,
  ids: string[],
  clients: number,
  seconds: number,
): Promise<Signalled> {
  const begun = performance.now();
  let sent = 0;
  await inFlight(clients, clients, async () => {
    while (performance.now() - begun < seconds * 1_000) {
      const id = ids.pop();
      if (id === undefined) return;
      await send(id);
      sent += 1;
    }
  });
  return { sent, failed: 0, seconds: (performance.now() - begun) / 1_000, times: [] };
}

async function untilEnded(url: string, id: string): Promise<void> {
  const answer = await fetch(`${url}/api/v1/execution/status?execution_id=${id}&wait=30s`);
  const { status } = (await answer.json()) as { status: string };
  if (status !== 'completed') throw new Error(`An execution is ${status}`);
}
