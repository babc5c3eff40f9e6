/**
 * Turns scopes that a handler opens into the event of its step: their items are checked, masked and cut into pieces that
 * are stored as they are.
 */
import type { Event, ScopeItems } from '../core/event.ts';
import type { Json } from '../core/json/json.ts';
import type { OutputStore } from '../payload/output-store.ts';
import { inSlices } from '../process/in-slices.ts';
import type { Attempt } from './attempt.ts';
import type { Outcome } from './outcome.ts';

/** Items of a piece, about: what is read together and stays in memory together. */
const MAX_ITEMS = 100;
const MAX_LENGTH = 64 * 1_024;

/** @throws NotStorable */
export async function holdEvent(
  { scopes, state }: Extract<Outcome, { kind: 'holding' }>,
  { slot, claim, timeoutLeftMs }: Attempt,
  store: OutputStore,
): Promise<Event> {
  const { items, makesList = false, ...rest } = scopes;
  const added = makesList ? { ...rest, maxListBytes: store.maxBytes } : rest;
  const pieces = items === undefined ? undefined : await inSlices(piecesOf(items, store));
  return {
    type: 'park',
    slot,
    claim,
    forMs: null,
    state: state === null ? null : (await store.payload(state)).value,
    timeoutMs: timeoutLeftMs === null ? null : Math.max(0, timeoutLeftMs),
    waitingFor: { kind: 'scopes' },
    scopes: pieces === undefined ? added : { ...added, items: pieces },
  };
}

/** Yields after each piece. */
function* piecesOf(items: readonly Json[], store: OutputStore): Generator<void, ScopeItems[]> {
  const pieces: ScopeItems[] = [];
  let texts: string[] = [];
  let length = 0;
  for (const [index, item] of items.entries()) {
    const { json } = yield* store.payloadInPieces(item);
    texts.push(json);
    length += json.length;
    const isFull = texts.length >= MAX_ITEMS || length >= MAX_LENGTH;
    if (!isFull && index < items.length - 1) continue;
    pieces.push({ firstIndex: index + 1 - texts.length, items: { json: `[${texts.join(',')}]` } });
    texts = [];
    length = 0;
    yield;
  }
  return pieces;
}
