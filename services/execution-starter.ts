/**
 * Starts executions: resolves templates, checks inputs, applies idempotency keys, and inserts all or none.
 *
 * A start with an existing key adds nothing, and is answered even when the backlog is full.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Json } from '../core/json/json.ts';
import { EngineError, type Problem } from '../core/problem.ts';
import type { ExecutionStatus } from '../core/status.ts';
import { parseDuration } from '../core/time/duration.ts';
import { parseInstant } from '../core/time/instant.ts';
import type { Pool } from '../db/connection/client.ts';
import { compareInputs, findByKeys } from '../db/execution-queries.ts';
import { newId } from '../db/uuid.ts';
import type { SchemaFault } from '../definition/schema/checker.ts';
import { type ExecutionDoor, KeyTaken } from '../door/execution-door.ts';
import type { NewExecution } from '../door/unit.ts';
import { JsonPayload } from '../payload/json-payload.ts';
import { inSlices } from '../process/in-slices.ts';
import { TemplateFinder } from '../template/finder.ts';
import { type InputChecker, refuseFaults } from '../template/input-checker.ts';
import { assertRunnable, type TemplateVersion } from '../template/version.ts';
import type { TemplateVersions } from '../template/versions.ts';
import type { Caller } from './caller.ts';
import type { StartItem, StartResult } from './execution-answers.ts';
import { KeyTurns } from './key-turns.ts';
import type { StartGate } from './start-gate.ts';

/** Limits of retries when a start's idempotency key is taken by another start while it inserts. */
const MAX_RACES = 50;
const LONGEST_RACES_MS = 5_000;
const PAUSE_MS = 5;

/** An item with its resolved template version. */
interface Draft {
  readonly item: StartItem;
  /** Pointer of the item, for problems. */
  readonly pointer: string;
  readonly workspaceId: string | null;
  readonly version: TemplateVersion;
  readonly inputs: JsonPayload;
}

interface Request {
  readonly item: StartItem;
  readonly execution: NewExecution;
}

export interface StarterParts {
  readonly pool: Pool;
  readonly door: ExecutionDoor;
  readonly versions: TemplateVersions;
  readonly gate: StartGate;
  readonly inputs: InputChecker;
}

export class ExecutionStarter {
  readonly #pool: Pool;
  readonly #door: ExecutionDoor;
  readonly #versions: TemplateVersions;
  readonly #finder: TemplateFinder;
  readonly #gate: StartGate;
  readonly #inputs: InputChecker;
  readonly #turns = new KeyTurns();

  constructor({ pool, door, versions, gate, inputs }: StarterParts) {
    this.#gate = gate;
    this.#pool = pool;
    this.#door = door;
    this.#versions = versions;
    this.#inputs = inputs;
    this.#finder = new TemplateFinder(pool);
  }

  /** @param many problems name the item as `/items/<n>` */
  start(caller: Caller, items: readonly StartItem[], many: boolean): Promise<StartResult[]> {
    return this.#gate.waitIn(items.length, () => this.#start(caller, items, many));
  }

  async #start(caller: Caller, items: readonly StartItem[], many: boolean): Promise<StartResult[]> {
    const drafts: Draft[] = await Promise.all(
      items.map(async (item, index) => {
        const pointer = many ? `/items/${index}` : '';
        const workspaceId = caller.admin ? (item.workspace_id ?? caller.workspaceId) : caller.workspaceId;
        const version = await this.#version(caller, item, workspaceId, pointer);
        return { item, pointer, workspaceId, version, inputs: payloadOf(item.inputs ?? {}) };
      }),
    );
    const faults = await Promise.all(await inSlices(this.#checks(drafts)));
    const requests = drafts.map((draft, index) => request(draft, faults[index]!));
    if (items.some(({ idempotency_key }) => idempotency_key !== undefined)) return this.#startKeyed(requests);
    await this.#insert(
      requests.map(({ execution }) => execution),
      false,
    );
    return requests.map(({ execution }) => created(execution, this.#door));
  }

  /** Refuses versions that this engine cannot run. Executions begun by the commit itself do not count as backlog. */
  async #insert(executions: readonly NewExecution[], keyed: boolean): Promise<void> {
    for (const { version } of executions) assertRunnable(version);
    await this.#gate.enter(executions.length, async () => {
      await this.#door.start(executions, keyed);
      return executions.filter(({ row }) => this.#door.statusOf(row.id) === 'pending').length;
    });
  }

  /** Checks the inputs of each item. Yields after each: together they may take long. */
  *#checks(
    drafts: readonly Draft[],
  ): Generator<void, (readonly SchemaFault[] | Promise<readonly SchemaFault[]>)[]> {
    const checks: (readonly SchemaFault[] | Promise<readonly SchemaFault[]>)[] = [];
    for (const { version, inputs } of drafts) {
      const checked = this.#inputs.check(version, inputs);
      // Awaited once all are started; until then this handler prevents an unhandled rejection.
      if (checked instanceof Promise) checked.catch(() => undefined);
      checks.push(checked);
      yield;
    }
    return checks;
  }

  async #version(
    caller: Caller,
    { template, workflow_template_id: id, version }: StartItem,
    workspaceId: string | null,
    pointer: string,
  ): Promise<TemplateVersion> {
    const found = await (id === undefined
      ? this.#finder.byName(workspaceId, template!, version ?? null)
      : this.#finder.byId(id));
    const isMeant =
      found !== null &&
      (version === undefined || found.version === version) &&
      (id === undefined || caller.admin || found.workspaceId === workspaceId);
    if (isMeant && !found.isArchived) return this.#versions.get(this.#pool, found.id);
    const what = id ?? `"${template}"${version === undefined ? '' : ` with version ${version}`}`;
    const message = isMeant
      ? `The template ${what} is archived; publish it again to start it.`
      : `No template ${what} is published in this workspace.`;
    const field = id === undefined ? 'template' : 'workflow_template_id';
    throw new EngineError('template_not_found', message, [
      { pointer: `${pointer}/${field}`, code: 'template_not_found', message },
    ]);
  }

  /** Looks the keys up, inserts new executions, and looks again when another start was faster. */
  async #startKeyed(requests: readonly Request[]): Promise<StartResult[]> {
    const until = performance.now() + LONGEST_RACES_MS;
    const keys = keysOf(requests);
    let waits = false;
    for (let races = 0; ; ) {
      const endTurn = this.#turns.take(keys);
      try {
        // The awaited execution may be there already; it is looked up once, as many may wait.
        if (endTurn !== null || !waits) {
          const held = await this.#find(requests);
          const { fresh, doubles } = firstOfEachKey(requests, held);
          await this.#refuseConflicts(doubles);
          if (endTurn !== null && fresh.length > 0) await this.#insert(fresh, true);
          if (endTurn !== null || fresh.length === 0)
            return requests.map((request) => this.#result(request, held, fresh));
        }
      } catch (error) {
        if (!(error instanceof KeyTaken)) throw error;
        races += 1;
        if (races > MAX_RACES) throw inTheWay(error);
      } finally {
        endTurn?.();
      }
      if (performance.now() > until) throw inTheWay(null);
      if (endTurn === null) await this.#turns.wait(keys, until - performance.now());
      // The faster start has committed by now, or soon will; a random pause spreads the slower ones.
      else await delay(PAUSE_MS * Math.random());
      waits = true;
    }
  }

  async #find(requests: readonly Request[]): Promise<Map<string, { id: string; status: ExecutionStatus }>> {
    const held = new Map<string, { id: string; status: ExecutionStatus }>();
    const keyed = requests.filter(({ item }) => item.idempotency_key !== undefined);
    for (const [workspaceId, group] of Map.groupBy(keyed, ({ execution }) => execution.row.workspaceId)) {
      const asked = group.map(({ item, execution }) => ({
        key: item.idempotency_key!,
        template: execution.version.name,
        version: execution.row.requestedVersion,
        inputs: execution.row.inputs,
      }));
      for (const { id, key, status, same } of await findByKeys(this.#pool, workspaceId, asked)) {
        if (!same) throw keyConflict(key);
        held.set(keyOf(workspaceId, key), { id, status });
      }
    }
    return held;
  }

  /** The database compares the inputs, as it compares them with those of earlier starts. */
  async #refuseConflicts(doubles: readonly Double[]): Promise<void> {
    if (doubles.length === 0) return;
    const same = await compareInputs(
      this.#pool,
      doubles.map(({ inputs }) => inputs),
    );
    const conflict = doubles[same.indexOf(false)];
    if (conflict !== undefined) throw keyConflict(conflict.key);
  }

  #result(
    { execution }: Request,
    held: ReadonlyMap<string, { id: string; status: ExecutionStatus }>,
    fresh: readonly NewExecution[],
  ): StartResult {
    const { idempotencyKey, workspaceId, id } = execution.row;
    if (idempotencyKey === null) return created(execution, this.#door);
    const existing = held.get(keyOf(workspaceId, idempotencyKey));
    if (existing !== undefined) return { execution_id: existing.id, status: existing.status, created: false };
    const inserted = fresh.find(
      ({ row }) => row.idempotencyKey === idempotencyKey && row.workspaceId === workspaceId,
    )!;
    return { ...created(inserted, this.#door), created: inserted.row.id === id };
  }
}

function payloadOf(inputs: Json | JsonPayload): JsonPayload {
  return inputs instanceof JsonPayload ? inputs : new JsonPayload(JSON.stringify(inputs), inputs);
}

/** @throws EngineError('invalid_inputs') */
function request(
  { item, pointer, workspaceId, version, inputs }: Draft,
  faults: readonly SchemaFault[],
): Request {
  below(pointer, () => refuseFaults(version, faults));
  return {
    item,
    execution: {
      version,
      row: {
        id: newId(),
        templateId: version.id,
        inputs: inputs.json,
        userId: item.user_id ?? null,
        workspaceId,
        priority: item.priority ?? 0,
        tags: item.tags ?? [],
        idempotencyKey: item.idempotency_key ?? null,
        requestedVersion: item.version ?? null,
        callbackUrl: item.callback_url ?? null,
        startAfter: startTime(item.start_after, pointer),
      },
    },
  };
}

/** The first start of each key that no execution has, and later ones whose inputs are written in another way. */
function firstOfEachKey(
  requests: readonly Request[],
  held: ReadonlyMap<string, unknown>,
): { fresh: NewExecution[]; doubles: Double[] } {
  const seen = new Map<string, NewExecution>();
  const fresh: NewExecution[] = [];
  const doubles: Double[] = [];
  for (const { execution } of requests) {
    const { idempotencyKey, workspaceId, inputs } = execution.row;
    if (idempotencyKey === null) {
      fresh.push(execution);
      continue;
    }
    const key = keyOf(workspaceId, idempotencyKey);
    const first = seen.get(key);
    if (first !== undefined && !sameTemplate(first, execution)) throw keyConflict(idempotencyKey);
    if (first !== undefined && first.row.inputs !== inputs)
      doubles.push({ key: idempotencyKey, inputs: [first.row.inputs, inputs] });
    if (first === undefined && !held.has(key)) fresh.push(execution);
    seen.set(key, first ?? execution);
  }
  return { fresh, doubles };
}

/** Two starts with the same key. */
interface Double {
  readonly key: string;
  readonly inputs: readonly [string, string];
}

function sameTemplate(a: NewExecution, b: NewExecution): boolean {
  return a.version.name === b.version.name && a.row.requestedVersion === b.row.requestedVersion;
}

function keysOf(requests: readonly Request[]): Set<string> {
  const keys = requests.flatMap(({ execution: { row } }) =>
    row.idempotencyKey === null ? [] : keyOf(row.workspaceId, row.idempotencyKey),
  );
  return new Set(keys);
}

function inTheWay(cause: unknown): EngineError {
  const message = 'Other transactions are in the way of a start with these idempotency keys; try again.';
  return new EngineError('unavailable', message, [], cause);
}

function keyOf(workspaceId: string | null, key: string): string {
  return `${workspaceId ?? ''}:${key}`;
}

function keyConflict(key: string): EngineError {
  return new EngineError(
    'idempotency_conflict',
    `Idempotency key "${key}" was used before with another template, version or inputs; use a new key for a new request.`,
  );
}

/** Returns the status as the door left it: the commit may have begun the execution already. */
function created({ row }: NewExecution, door: ExecutionDoor): StartResult {
  return { execution_id: row.id, status: door.statusOf(row.id), created: true };
}

/** Problems thrown inside are placed below the pointer. */
function below(pointer: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof EngineError) || pointer === '') throw error;
    const problems: Problem[] = error.problems.map((problem) => ({
      ...problem,
      pointer: `${pointer}${problem.pointer}`,
    }));
    throw new EngineError(error.code, error.message, problems);
  }
}

/** Returns milliseconds from now, an instant, or null. */
function startTime(startAfter: string | number | undefined, pointer: string): number | string | null {
  if (startAfter === undefined) return null;
  const duration = parseDuration(startAfter);
  if (duration !== null) return duration;
  const instant = typeof startAfter === 'string' ? parseInstant(startAfter) : null;
  if (instant === null) {
    const message = `"${startAfter}" is neither an instant in ISO 8601 nor a duration such as 5m.`;
    throw new EngineError('validation_failed', message, [
      { pointer: `${pointer}/start_after`, code: 'invalid_value', message },
    ]);
  }
  return new Date(instant).toISOString();
}
