/**
 * Brings kept signals and waiting steps of an execution together, under its lock.
 *
 * Each signal and each step that begins to wait leaves a ticket in its own commit. So of a signal and a step that belong
 * together the ticket of the later one finds both, whatever the order of their commits. Signals are looked for after the
 * execution is locked, and nobody else uses one up without that lock: a signal ends one wait, and is not lost. A step
 * inside a scope is asked again, under the lock of the scope, whether it still waits.
 */
import type { KeptRequest } from '../../core/hooks/kept-request.ts';
import { EngineError } from '../../core/problem.ts';
import { findSlot, type ViewKey, viewKey } from '../../core/view.ts';
import { type Fit, type Pair, pairUp } from '../../core/waits/pairing.ts';
import type { Tx } from '../../db/connection/client.ts';
import { newId } from '../../db/uuid.ts';
import {
  dropSignals,
  type KeptSignal,
  type RefusedSignal,
  readKeptSignals,
  readSignalWaits,
  type SignalWait,
} from '../../db/waits/signals.ts';
import type { Mail } from '../../door/actor.ts';
import type { Actors } from '../../door/actors.ts';
import { type LoadedUnit, takeUnit, type Unit } from '../../door/unit.ts';
import { noUnloadable, type Unloadable } from '../../door/unloadable.ts';
import { JsonPayload } from '../../payload/json-payload.ts';
import { NotStorable, type OutputStore } from '../../payload/output-store.ts';
import type { AnswerChecker } from '../../template/input-checker.ts';
import type { Work } from './round.ts';

export interface SignalParts {
  readonly answers: AnswerChecker;
  readonly store: OutputStore;
}

/** What the consumer brings along. */
export interface SignalRound {
  readonly committer: { readonly actors: Actors; release(unit: Unit): void };
  readonly locked: { load(tx: Tx, units: readonly Unit[], unloadable: Unloadable): Promise<LoadedUnit[]> };
  /** Whether the database can skip locked rows. */
  readonly skipsLocked: boolean;
  /** Units that are marked busy; gets those of scopes. */
  readonly units: Unit[];
  readonly byExecution: Work['byExecution'];
}

/** Loads the views of scopes under their locks, as far as nobody else works on them. */
type LoadScopes = (keys: readonly ViewKey[]) => Promise<readonly LoadedUnit[]>;

/** The signals of one round of the consumer. */
export interface FoldedSignals {
  /** Answers by view. */
  readonly mails: ReadonlyMap<ViewKey, readonly Mail[]>;
  /** Units of scopes that get answers. */
  readonly scopes: readonly LoadedUnit[];
  /** Executions with more to do: their tickets are kept. */
  readonly unfinished: ReadonlySet<ViewKey>;
}

const NOTHING: FoldedSignals = { mails: new Map(), scopes: [], unfinished: new Set() };

/**
 * Signals of one execution that are judged in one round. So many of each kind of signals and waits are read: none of them runs
 * out before the round is over, so the oldest come first.
 */
const MAX_JUDGED = 8;
/** Bytes of payloads in one round, about. */
const MAX_PAYLOADS = 16 * 1024 * 1024;
const MAX_REASON_LENGTH = 1_000;

/** Uses and drops signals of executions that have a ticket. @param present all units of the round, loaded under locks */
export async function foldSignals(
  tx: Tx,
  present: readonly LoadedUnit[],
  round: SignalRound,
  parts: SignalParts,
): Promise<FoldedSignals> {
  const hasTicket = ({ actor }: LoadedUnit) =>
    round.byExecution.get(actor.key)!.some(({ job }) => job?.data.kind === 'signals');
  const asked = present.filter(hasTicket);
  if (asked.length === 0) return NOTHING;
  const mails = new Map<ViewKey, Mail[]>();
  const scopes: LoadedUnit[] = [];
  const unfinished = new Set<ViewKey>();
  const units = new Map(present.map((unit) => [unit.actor.key, unit]));
  const loadScopes: LoadScopes = async (keys) => {
    const loaded = await loadUnits(tx, keys, round);
    scopes.push(...loaded);
    return loaded;
  };
  const takers = asked.filter(takesSignals);
  const found = await readFound(tx, takers);
  for (const unit of takers) {
    const { key } = unit.actor;
    const own = found.get(key);
    if (own === undefined) continue;
    const fold = new Fold(tx, unit, units, parts);
    await fold.run(own, loadScopes);
    for (const { key, mail } of fold.mails) mails.set(key, [...(mails.get(key) ?? []), mail]);
    if (fold.isUnfinished) unfinished.add(key);
  }
  return { mails, scopes, unfinished };
}

/** Steps that wait for signals, and kept signals that they may use. */
interface Found {
  readonly waits: readonly SignalWait[];
  readonly kept: readonly KeptSignal[];
}

/** Returns what there is of each execution, without those that have nothing to bring together. */
async function readFound(tx: Tx, units: readonly LoadedUnit[]): Promise<ReadonlyMap<string, Found>> {
  const ids = units.map(({ actor }) => actor.executionId);
  if (ids.length === 0) return new Map();
  const { waits, groups } = await readSignalWaits(tx, ids, MAX_JUDGED);
  if (waits.length === 0) return new Map();
  const kept = await readKeptSignals(tx, groups, MAX_JUDGED, MAX_PAYLOADS);
  const keptOf = Map.groupBy(kept, ({ executionId }) => executionId);
  const waitsOf = Map.groupBy(waits, ({ executionId }) => executionId);
  return new Map([...waitsOf].map(([id, own]) => [id, { waits: own, kept: keptOf.get(id) ?? [] }]));
}

async function loadUnits(
  tx: Tx,
  keys: readonly ViewKey[],
  { committer, locked, skipsLocked, units, byExecution }: SignalRound,
): Promise<readonly LoadedUnit[]> {
  const taken = keys.flatMap((key) => {
    const actor = committer.actors.get(key);
    if (actor.busy) return [];
    byExecution.set(key, []);
    return takeUnit(actor, []);
  });
  units.push(...taken);
  const loaded = await locked.load(tx, taken, noUnloadable(skipsLocked));
  for (const unit of taken.filter(({ actor }) => !loaded.some((each) => each.actor === actor))) {
    units.splice(units.indexOf(unit), 1);
    committer.release(unit);
  }
  return loaded;
}

function takesSignals({ loaded: { view } }: LoadedUnit): boolean {
  return (view.status === 'running' || view.status === 'paused') && view.stopRequested === null;
}

/** The fold of one execution. */
class Fold {
  readonly mails: { readonly key: ViewKey; readonly mail: Mail }[] = [];
  readonly #tx: Tx;
  readonly #executionId: string;
  readonly #units: Map<ViewKey, LoadedUnit>;
  readonly #parts: SignalParts;
  readonly #dropped: RefusedSignal[] = [];
  isUnfinished = false;

  constructor(tx: Tx, { actor }: LoadedUnit, units: Map<ViewKey, LoadedUnit>, parts: SignalParts) {
    this.#tx = tx;
    this.#executionId = actor.executionId;
    this.#units = units;
    this.#parts = parts;
  }

  async run({ waits, kept }: Found, loadScopes: LoadScopes): Promise<void> {
    const wanted = firstPairs(waits, kept).map((wait) => this.#keyOf(wait));
    const missing = new Set(wanted.filter((key) => !this.#units.has(key)));
    for (const unit of missing.size === 0 ? [] : await loadScopes([...missing]))
      this.#units.set(unit.actor.key, unit);
    const pairs = pairUp(waits, kept);
    let judged = 0;
    for (let next = pairs.next(); next.done !== true && judged < MAX_JUDGED; judged += 1)
      next = pairs.next(await this.#judge(next.value));
    // There may be more than was read.
    if (judged === MAX_JUDGED) this.isUnfinished = true;
    if (this.#dropped.length > 0) await this.#tx.query(dropSignals(this.#dropped));
  }

  #keyOf({ scopeId }: SignalWait): ViewKey {
    return viewKey(this.#executionId, scopeId);
  }

  async #judge({ wait, kept: { id, payload } }: Pair<SignalWait, KeptSignal>): Promise<Fit> {
    const key = this.#keyOf(wait);
    if (payload === null) return this.#later();
    const unit = this.#units.get(key);
    const slot = unit === undefined ? null : findSlot(unit.loaded.view, wait.stepId);
    if (unit === undefined || slot === null) return this.#later();
    const { attempt, sequence, position, status } = unit.loaded.view.steps[slot]!;
    // It waited when the waits were read: a scope is locked after that.
    if (status !== 'waiting') return this.#later();
    const kept = new JsonPayload(payload);
    const answer = wait.methods === null ? kept : requestIn(kept);
    const reason = methodFault(wait, answer) ?? (await this.#faultOf(unit, position, answer));
    if (reason === undefined) return this.#later();
    if (reason !== null) {
      this.#dropped.push({ id, reason });
      return 'misfit';
    }
    const result = { output: await this.#parts.store.payload(answer.value) };
    const random = Math.random();
    const event = {
      type: 'answer',
      slot,
      attempt,
      sequence,
      id: newId(),
      result,
      signal: id,
      random,
    } as const;
    this.mails.push({ key, mail: { event, settle: null } });
    return 'fits';
  }

  #later(): Fit {
    this.isUnfinished = true;
    return 'unknown';
  }

  /** Returns why an answer does not fit; null: it does; undefined: it cannot be said now. */
  async #faultOf(
    { loaded: { version } }: LoadedUnit,
    position: number,
    answer: JsonPayload,
  ): Promise<string | null | undefined> {
    const { store, answers } = this.#parts;
    try {
      await store.payload(answer.value);
      const [fault] = await answers.checkAnswer(version, position, answer);
      if (fault === undefined) return null;
      return store.text(`payload${fault.pointer}: ${fault.message}`, MAX_REASON_LENGTH);
    } catch (error) {
      if (error instanceof NotStorable) return store.text(error.message, MAX_REASON_LENGTH);
      if (!(error instanceof EngineError)) throw error;
      return undefined;
    }
  }
}

/** Returns the output in a request that was kept for a hook. */
function requestIn(kept: JsonPayload): JsonPayload {
  const { request } = kept.value as unknown as KeptRequest;
  return new JsonPayload(JSON.stringify(request), request);
}

/** Returns why a hook does not take a request; null: it may. */
function methodFault({ methods }: SignalWait, answer: JsonPayload): string | null {
  if (methods === null) return null;
  const { method } = answer.value as KeptRequest['request'];
  return methods.includes(method) ? null : `This URL takes ${methods.join(', ')}, not ${method}.`;
}

/** Returns the waits whose turn it is if every signal fits. */
function firstPairs(waits: readonly SignalWait[], kept: readonly KeptSignal[]): SignalWait[] {
  const first: SignalWait[] = [];
  const pairs = pairUp(waits, kept);
  for (let next = pairs.next(); next.done !== true && first.length < MAX_JUDGED; next = pairs.next('fits'))
    first.push(next.value.wait);
  return first;
}
