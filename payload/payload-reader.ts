/**
 * Reads inputs, outputs and errors of an execution: from memory, or else from the database.
 *
 * Invariant: one reading holds a bounded amount of memory, and its size is checked before it is read. So an execution
 * with huge outputs fails, rather than crashing one engine after another.
 */
import type { StepError } from '../core/event.ts';
import type { Json, JsonObject } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import type { Plan } from '../core/plan.ts';
import type { ExecutionView } from '../core/view.ts';
import type { Db } from '../db/connection/client.ts';
import { readPayloads, sumPayloadBytes } from '../db/step-payload.ts';
import { readManyInputs } from '../db/workflow-execution.ts';
import { JsonPayload, parseLarge } from './json-payload.ts';
import { INPUT, type KeptPayloads } from './kept-payloads.ts';
import type { PayloadOwner } from './readable-execution.ts';

export interface PayloadNeeds {
  /** Whether the execution's own input is read. */
  readonly input: boolean;
  /** Slots of the steps whose output or error is read. */
  readonly slots: readonly number[];
  /** Whether the values are used, and not the texts alone. */
  readonly values: boolean;
}

/** The payloads that were read; they stay valid when the cache drops them. */
export interface Payloads {
  /** Null: not requested. */
  readonly input: JsonPayload | null;
  /** Outputs of completed steps, by slot. */
  readonly outputs: ReadonlyMap<number, JsonPayload>;
  /** Errors of failed steps, by slot. */
  readonly errors: ReadonlyMap<number, StepError>;
}

/** Rows of one statement. */
type Loaded = ReadonlyMap<number, JsonPayload | StepError>;

interface Reading {
  input: JsonPayload | null;
  readonly outputs: Map<number, JsonPayload>;
  readonly errors: Map<number, StepError>;
}

export interface PayloadLimits {
  /** Limit for one output. */
  readonly maxOutputBytes: number;
  /** Limit for everything that one step, or the output of an execution, reads. */
  readonly maxInputsBytes: number;
}

/**
 * Thrown for inputs over the limit. A step that reads them fails before its handler begins; so does an execution
 * whose output reads them.
 */
export class InputsTooLarge extends Error {
  readonly code = 'inputs_too_large';
  readonly details: JsonObject;

  constructor(bytes: number, limit: number) {
    super(
      `What it reads of other steps has ${bytes} bytes; EXECUTION_ENGINE_MAX_INPUTS_BYTES allows ${limit}.`,
    );
    this.details = { bytes, limit };
  }
}

export class PayloadReader {
  readonly #db: Db;
  readonly #limits: PayloadLimits;
  /** Statements in flight, by slot: after a takeover many steps begin at once that read the same payloads. */
  readonly #loading = new WeakMap<KeptPayloads, Map<number, Promise<Loaded>>>();
  /** The last sums, cached: outputs never change. */
  readonly #sums = new WeakMap<KeptPayloads, { key: string; bytes: Promise<number> }>();

  constructor(db: Db, limits: PayloadLimits) {
    this.#db = db;
    this.#limits = limits;
  }

  /**
   * Returns at once when everything is in memory, and no large text is to be parsed.
   * @param plan its unwritten results count as written; null: none
   * @throws InputsTooLarge
   */
  read(
    execution: PayloadOwner,
    view: ExecutionView,
    needs: PayloadNeeds,
    plan: Plan | null = null,
  ): Payloads | Promise<Payloads> {
    const found = this.#find(execution, view, needs, plan);
    return needs.values ? next(found, withValues) : found;
  }

  #find(
    execution: PayloadOwner,
    view: ExecutionView,
    { input, slots }: PayloadNeeds,
    plan: Plan | null,
  ): Payloads | Promise<Payloads> {
    const reading: Reading = { input: null, outputs: new Map(), errors: new Map() };
    const missing: number[] = [];
    if (input) {
      reading.input = execution.kept.get(INPUT) ?? null;
      if (reading.input === null) missing.push(INPUT);
    }
    for (const slot of slots) {
      const status = view.steps[slot]?.status;
      const written = plan?.steps.get(slot);
      if (status === 'completed') {
        const output = (written?.output as JsonPayload | undefined) ?? execution.kept.get(slot);
        if (output === undefined) missing.push(slot);
        else reading.outputs.set(slot, output);
      } else if (status === 'failed') {
        const error = written?.error ?? execution.errors.get(slot);
        if (error === undefined) missing.push(slot);
        else reading.errors.set(slot, error);
      }
    }
    const { maxOutputBytes, maxInputsBytes } = this.#limits;
    const mayBeTooLarge = slots.length * maxOutputBytes > maxInputsBytes;
    const known = mayBeTooLarge ? bytesOf(reading) : 0;
    this.#refuseIfTooLarge(known);
    if (missing.length === 0) return reading;
    return this.#load(execution, view, reading, missing, mayBeTooLarge ? known : null);
  }

  /** @param known bytes that are in memory; null: with the missing ones they cannot exceed the limit */
  async #load(
    execution: PayloadOwner,
    view: ExecutionView,
    reading: Reading,
    slots: readonly number[],
    known: number | null,
  ): Promise<Payloads> {
    if (known !== null) this.#refuseIfTooLarge(known + (await this.#storedBytes(execution, view, slots)));
    for (const loaded of await Promise.all(this.#share(execution, view, slots)))
      for (const slot of slots) {
        const payload = loaded.get(slot);
        if (payload === undefined) continue;
        if (!(payload instanceof JsonPayload)) reading.errors.set(slot, payload);
        else if (slot === INPUT) reading.input = payload;
        else reading.outputs.set(slot, payload);
      }
    return reading;
  }

  /** Shared by many steps that read the same. Text is stored with up to twice its length: it counts half. */
  #storedBytes(execution: PayloadOwner, view: ExecutionView, slots: readonly number[]): Promise<number> {
    const ids = stepsAt(slots).map((slot) => view.steps[slot]!.id);
    const key = ids.join();
    const known = this.#sums.get(execution.kept);
    if (known?.key === key) return known.bytes;
    const { maxInputsBytes } = this.#limits;
    const bytes = sumPayloadBytes(this.#db, ids, 4 * maxInputsBytes).then((sum) => Math.ceil(sum / 2));
    this.#sums.set(execution.kept, { key, bytes });
    bytes.catch(() => this.#sums.delete(execution.kept));
    return bytes;
  }

  /** Returns the statements that load the slots: those in flight, and one for the rest. */
  #share(execution: PayloadOwner, view: ExecutionView, slots: readonly number[]): Set<Promise<Loaded>> {
    const onTheirWay = this.#loading.get(execution.kept) ?? new Map<number, Promise<Loaded>>();
    this.#loading.set(execution.kept, onTheirWay);
    const own = slots.filter((slot) => !onTheirWay.has(slot));
    if (own.length > 0) {
      const loading = this.#loadOwn(execution, view, own).finally(() => {
        for (const slot of own) onTheirWay.delete(slot);
      });
      for (const slot of own) onTheirWay.set(slot, loading);
    }
    return new Set(slots.map((slot) => onTheirWay.get(slot)!));
  }

  async #loadOwn(execution: PayloadOwner, view: ExecutionView, slots: readonly number[]): Promise<Loaded> {
    const loaded = new Map<number, JsonPayload | StepError>();
    const keep = (slot: number, json: string) => {
      const payload = new JsonPayload(json);
      loaded.set(slot, payload);
      execution.kept.set(slot, payload);
    };
    const steps = stepsAt(slots);
    if (steps.length < slots.length) {
      const inputs = await readManyInputs(this.#db, [execution.id], null);
      keep(INPUT, inputs.get(execution.id) ?? '{}');
    }
    if (steps.length === 0) return loaded;
    const byId = new Map(steps.map((slot) => [view.steps[slot]!.id, slot]));
    for (const payload of await readPayloads(this.#db, [...byId.keys()])) {
      const slot = byId.get(payload.id)!;
      if (payload.output !== null) keep(slot, payload.output);
      if (payload.errorCode === null) continue;
      const { errorCode: code, error, errorDetails } = payload;
      const stored = { code, message: error ?? '', details: (errorDetails ?? null) as Json };
      loaded.set(slot, stored);
      execution.errors.set(slot, stored);
    }
    return loaded;
  }

  #refuseIfTooLarge(bytes: number): void {
    const { maxInputsBytes } = this.#limits;
    if (bytes <= maxInputsBytes) return;
    throw new InputsTooLarge(bytes, maxInputsBytes);
  }
}

function withValues(payloads: Payloads): Payloads | Promise<Payloads> {
  const { input, outputs } = payloads;
  if (outputs.size === 0 && (input === null || input.unparsed === 0)) return payloads;
  const parsing = parseLarge(input === null ? [...outputs.values()] : [input, ...outputs.values()]);
  return parsing === undefined ? payloads : parsing.then(() => payloads);
}

function stepsAt(slots: readonly number[]): number[] {
  return slots.filter((slot) => slot !== INPUT);
}

function bytesOf({ outputs, errors }: Reading): number {
  let bytes = 0;
  for (const { json } of outputs.values()) bytes += Buffer.byteLength(json);
  for (const { details } of errors.values()) bytes += Buffer.byteLength(JSON.stringify(details));
  return bytes;
}
