/**
 * Reads inputs, outputs and errors of an execution: from memory, and from the database what did not pass through
 * this process.
 *
 * Invariant: what one reading may hold is bounded, and it is known to fit before it is read: an execution whose
 * outputs would take all memory fails, and does not end one engine after another.
 */
import type { StepError } from '../core/event.ts';
import type { Json, JsonObject } from '../core/json/json.ts';
import type { Plan } from '../core/plan.ts';
import type { ExecutionView } from '../core/view.ts';
import type { Db } from '../db/connection/client.ts';
import { readPayloads, sumPayloadBytes } from '../db/step-payload.ts';
import { readManyInputs } from '../db/workflow-execution.ts';
import { JsonPayload } from './json-payload.ts';
import { INPUT } from './kept-payloads.ts';
import type { ReadableExecution } from './readable-execution.ts';

export interface PayloadNeeds {
  /** Whether the execution's own input is read. */
  readonly input: boolean;
  /** Of steps whose output or error is read. */
  readonly positions: readonly number[];
}

/** What was found; the execution may forget it meanwhile. */
export interface Payloads {
  /** Null: it was not asked for. */
  readonly input: JsonPayload | null;
  /** Of completed steps, by position. */
  readonly outputs: ReadonlyMap<number, JsonPayload>;
  /** Of failed steps, by position. */
  readonly errors: ReadonlyMap<number, StepError>;
}

/** What one statement brought. */
type Loaded = ReadonlyMap<number, JsonPayload | StepError>;

interface Reading {
  input: JsonPayload | null;
  readonly outputs: Map<number, JsonPayload>;
  readonly errors: Map<number, StepError>;
}

export interface PayloadLimits {
  /** Of one output. */
  readonly maxOutputBytes: number;
  /** Of all that one step, or the output of an execution, reads. */
  readonly maxInputsBytes: number;
}

/** The step that reads it fails before its handler begins; an execution whose output reads it fails too. */
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
  /** Statements on their way, by position: after a takeover many steps begin at once that read the same. */
  readonly #loading = new WeakMap<ReadableExecution, Map<number, Promise<Loaded>>>();
  /** The last sums: outputs never change. */
  readonly #sums = new WeakMap<ReadableExecution, { key: string; bytes: Promise<number> }>();

  constructor(db: Db, limits: PayloadLimits) {
    this.#db = db;
    this.#limits = limits;
  }

  /**
   * At once when everything is in memory.
   * @param plan what it is about to write counts as written; null: nothing is
   * @throws InputsTooLarge
   */
  read(
    execution: ReadableExecution,
    view: ExecutionView,
    { input, positions }: PayloadNeeds,
    plan: Plan | null = null,
  ): Payloads | Promise<Payloads> {
    const reading: Reading = { input: null, outputs: new Map(), errors: new Map() };
    const missing: number[] = [];
    if (input) {
      reading.input = execution.kept.get(INPUT) ?? null;
      if (reading.input === null) missing.push(INPUT);
    }
    for (const position of positions) {
      const status = view.steps[position]?.status;
      const written = plan?.steps.get(position);
      if (status === 'completed') {
        const output = (written?.output as JsonPayload | undefined) ?? execution.kept.get(position);
        if (output === undefined) missing.push(position);
        else reading.outputs.set(position, output);
      } else if (status === 'failed') {
        const error = written?.error ?? execution.errors.get(position);
        if (error === undefined) missing.push(position);
        else reading.errors.set(position, error);
      }
    }
    const { maxOutputBytes, maxInputsBytes } = this.#limits;
    const mayBeTooLarge = positions.length * maxOutputBytes > maxInputsBytes;
    const known = mayBeTooLarge ? bytesOf(reading) : 0;
    this.#refuseIfTooLarge(known);
    if (missing.length === 0) return reading;
    return this.#load(execution, view, reading, missing, mayBeTooLarge ? known : null);
  }

  /** @param known bytes that are in memory; null: they cannot be too many with what is missing */
  async #load(
    execution: ReadableExecution,
    view: ExecutionView,
    reading: Reading,
    positions: readonly number[],
    known: number | null,
  ): Promise<Payloads> {
    if (known !== null) this.#refuseIfTooLarge(known + (await this.#storedBytes(execution, view, positions)));
    for (const loaded of await Promise.all(this.#share(execution, view, positions)))
      for (const position of positions) {
        const payload = loaded.get(position);
        if (payload === undefined) continue;
        if (!(payload instanceof JsonPayload)) reading.errors.set(position, payload);
        else if (position === INPUT) reading.input = payload;
        else reading.outputs.set(position, payload);
      }
    return reading;
  }

  /** Asked for once by many steps that read the same. Stored text is up to twice as long as it was: it counts half. */
  #storedBytes(
    execution: ReadableExecution,
    view: ExecutionView,
    positions: readonly number[],
  ): Promise<number> {
    const ids = stepsAt(positions).map((position) => view.steps[position]!.id);
    const key = ids.join();
    const known = this.#sums.get(execution);
    if (known?.key === key) return known.bytes;
    const { maxInputsBytes } = this.#limits;
    const bytes = sumPayloadBytes(this.#db, ids, 4 * maxInputsBytes).then((sum) => Math.ceil(sum / 2));
    this.#sums.set(execution, { key, bytes });
    bytes.catch(() => this.#sums.delete(execution));
    return bytes;
  }

  /** The statements that bring the positions: those on their way, and one for the others. */
  #share(
    execution: ReadableExecution,
    view: ExecutionView,
    positions: readonly number[],
  ): Set<Promise<Loaded>> {
    const onTheirWay = this.#loading.get(execution) ?? new Map<number, Promise<Loaded>>();
    this.#loading.set(execution, onTheirWay);
    const own = positions.filter((position) => !onTheirWay.has(position));
    if (own.length > 0) {
      const loading = this.#loadOwn(execution, view, own).finally(() => {
        for (const position of own) onTheirWay.delete(position);
      });
      for (const position of own) onTheirWay.set(position, loading);
    }
    return new Set(positions.map((position) => onTheirWay.get(position)!));
  }

  async #loadOwn(
    execution: ReadableExecution,
    view: ExecutionView,
    positions: readonly number[],
  ): Promise<Loaded> {
    const loaded = new Map<number, JsonPayload | StepError>();
    const keep = (position: number, json: string) => {
      const payload = new JsonPayload(json);
      loaded.set(position, payload);
      execution.kept.set(position, payload);
    };
    const steps = stepsAt(positions);
    if (steps.length < positions.length) {
      const inputs = await readManyInputs(this.#db, [execution.id], null);
      keep(INPUT, inputs.get(execution.id) ?? '{}');
    }
    if (steps.length === 0) return loaded;
    const byId = new Map(steps.map((position) => [view.steps[position]!.id, position]));
    for (const payload of await readPayloads(this.#db, [...byId.keys()])) {
      const position = byId.get(payload.id)!;
      if (payload.output !== null) keep(position, payload.output);
      if (payload.errorCode === null) continue;
      const { errorCode: code, error, errorDetails } = payload;
      const stored = { code, message: error ?? '', details: (errorDetails ?? null) as Json };
      loaded.set(position, stored);
      execution.errors.set(position, stored);
    }
    return loaded;
  }

  #refuseIfTooLarge(bytes: number): void {
    const { maxInputsBytes } = this.#limits;
    if (bytes <= maxInputsBytes) return;
    throw new InputsTooLarge(bytes, maxInputsBytes);
  }
}

function stepsAt(positions: readonly number[]): number[] {
  return positions.filter((position) => position !== INPUT);
}

function bytesOf({ outputs, errors }: Reading): number {
  let bytes = 0;
  for (const { json } of outputs.values()) bytes += Buffer.byteLength(json);
  for (const { details } of errors.values()) bytes += Buffer.byteLength(JSON.stringify(details));
  return bytes;
}
