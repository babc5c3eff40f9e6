/**
 * `fork`: starts an execution that begins with what another one has finished.
 *
 * The source is read without a lock, and goes on meanwhile. The commit of the fork copies each result from the row that was
 * read, and fails when one has changed since: then the fork is decided again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { DryRun } from '../../core/control/dry-run.ts';
import { type Fork, type GivenOutput, planFork } from '../../core/control/fork.ts';
import type { Event } from '../../core/event.ts';
import { digestOf } from '../../core/json/canonical.ts';
import { EngineError } from '../../core/problem.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import { transition } from '../../core/transition.ts';
import { type ExecutionView, emptyView } from '../../core/view.ts';
import type { Pool } from '../../db/connection/client.ts';
import {
  type ForkSource,
  findFork,
  readForkSource,
  readNotCompensatedInside,
} from '../../db/control/forks.ts';
import { readStates } from '../../db/execution-queries.ts';
import { newId } from '../../db/uuid.ts';
import { existingExecutions } from '../../db/workflow-execution.ts';
import { type ExecutionDoor, KeyTaken } from '../../door/execution-door.ts';
import type { NewExecution } from '../../door/unit.ts';
import { JsonPayload } from '../../payload/json-payload.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import { TemplateFinder } from '../../template/finder.ts';
import { type InputChecker, refuseFaults } from '../../template/input-checker.ts';
import { assertRunnable, type TemplateVersion } from '../../template/version.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Caller } from '../caller.ts';
import type { StartResult } from '../execution-answers.ts';
import type { StartGate } from '../start-gate.ts';
import { compensatedInside } from '../steps/undo-status.ts';
import { visible } from '../visible.ts';
import type { ForkBody, ForkPort } from './fork-answers.ts';
import { givenOutputs, topLevelSlot } from './given-outputs.ts';
import { readSourceView } from './source-view.ts';

export interface ForkParts {
  readonly pool: Pool;
  readonly door: ExecutionDoor;
  readonly versions: TemplateVersions;
  readonly gate: StartGate;
  readonly inputs: InputChecker;
  readonly store: OutputStore;
}

/** Every race lost is one that the source, or another fork with the key, has won. */
const MAX_RACES = 50;
const PAUSE_MS = 20;

/** The source as it was when the fork was decided. */
interface Source {
  readonly version: TemplateVersion;
  readonly view: ExecutionView;
  readonly notCompensatedInside: ReadonlySet<string>;
}

/** What does not change while the source goes on. */
interface Draft {
  readonly caller: Caller;
  readonly body: ForkBody;
  readonly key: string | null;
  readonly digest: string;
  readonly facts: ForkSource;
  readonly version: TemplateVersion;
  readonly from: number;
  readonly inputs: JsonPayload;
  readonly outputs: ReadonlyMap<number, GivenOutput>;
}

export class ForkService implements ForkPort {
  readonly #parts: ForkParts;
  readonly #finder: TemplateFinder;

  constructor(parts: ForkParts) {
    this.#parts = parts;
    this.#finder = new TemplateFinder(parts.pool);
  }

  fork(caller: Caller, body: ForkBody, key: string | null): Promise<StartResult | DryRun> {
    return this.#parts.gate.waitIn(1, () => this.#fork(caller, body, key));
  }

  async #fork(caller: Caller, body: ForkBody, key: string | null): Promise<StartResult | DryRun> {
    const { pool } = this.#parts;
    const { execution_id: id, dry_run: isDry, ...asked } = body;
    const digest = digestOf({ ...asked, execution_id: id });
    const found = await readForkSource(pool, id);
    // A fork outlives its source: the same request gets the same answer.
    const workspaceId = found?.workspaceId ?? caller.workspaceId;
    const mayLook = found === null || caller.admin || workspaceId === caller.workspaceId;
    if (key !== null && mayLook && isDry !== true) {
      const known = await this.#known(workspaceId, key, digest);
      if (known !== null) return known;
    }
    const facts = visible(caller, 'execution', id, found);
    const draft = await this.#draft(caller, body, { key, digest, facts });
    if (isDry !== true) return this.#start(draft);
    return dryRun(draft, await this.#decide(draft));
  }

  async #known(workspaceId: string | null, key: string, digest: string): Promise<StartResult | null> {
    const known = await findFork(this.#parts.pool, workspaceId, key, digest);
    if (known === null) return null;
    if (known.same)
      return { execution_id: known.id, status: known.status as ExecutionStatus, created: false };
    const message = `Idempotency key "${key}" was used before with another request; use a new key for a new request.`;
    throw new EngineError('idempotency_conflict', message);
  }

  async #draft(
    caller: Caller,
    body: ForkBody,
    { key, digest, facts }: Pick<Draft, 'key' | 'digest' | 'facts'>,
  ): Promise<Draft> {
    const { store, inputs: checker } = this.#parts;
    const version = await this.#version(facts, body.version);
    const from = topLevelSlot(version.graph, body.from, '/from');
    const outputs = await givenOutputs(store, version, body.outputs ?? {});
    const inputs =
      body.inputs === undefined
        ? new JsonPayload(facts.inputs)
        : new JsonPayload(JSON.stringify(body.inputs), body.inputs);
    refuseFaults(version, await checker.check(version, inputs));
    assertRunnable(version);
    return { caller, body, key, digest, facts, version, from, inputs, outputs };
  }

  /** An archived template is found by its executions, as long as no version is named. */
  async #version(
    { templateId, workspaceId }: ForkSource,
    wanted: number | undefined,
  ): Promise<TemplateVersion> {
    const { versions, pool } = this.#parts;
    const own = await versions.get(pool, templateId);
    if (wanted === undefined || wanted === own.version) return own;
    const found = await this.#finder.byName(workspaceId, own.name, wanted);
    if (found !== null && !found.isArchived) return versions.get(pool, found.id);
    const message = `Template "${own.name}" has no version ${wanted}, or it is archived.`;
    throw new EngineError('template_not_found', message, [
      { pointer: '/version', code: 'template_not_found', message },
    ]);
  }

  async #start(draft: Draft): Promise<StartResult> {
    const { door, gate } = this.#parts;
    const { key, digest, facts } = draft;
    for (let races = 0; races < MAX_RACES; races += 1) {
      const execution = newFork(draft, (await this.#decide(draft)).reused);
      const { id } = execution.row;
      try {
        await gate.enter(1, async () => {
          await door.start([execution], true);
          return 0;
        });
        return { execution_id: id, status: door.statusOf(id), created: true };
      } catch (error) {
        if (!(error instanceof KeyTaken)) return await this.#unlessThere(id, error);
      }
      const known = key === null ? null : await this.#known(facts.workspaceId, key, digest);
      if (known !== null) return known;
      await delay(PAUSE_MS * Math.random());
    }
    throw new EngineError('unavailable', 'Other changes of the source were always faster; try again.');
  }

  /** A commit whose answer was lost may have gone through. */
  async #unlessThere(id: string, error: unknown): Promise<StartResult> {
    const { pool } = this.#parts;
    if (error instanceof EngineError || (await existingExecutions(pool, [id])).size === 0) throw error;
    const [state] = await readStates(pool, [id]);
    return { execution_id: id, status: state?.status ?? 'running', created: true };
  }

  async #decide(draft: Draft): Promise<Fork> {
    const { version, from, outputs, body } = draft;
    const { view, notCompensatedInside } = await this.#source(body.execution_id);
    const fork = planFork(view, version.graph, { from, outputs, notCompensatedInside });
    if (fork.notCompensated.length === 0) return fork;
    const message = `Compensations of ${fork.notCompensated.join(', ')} did not complete, so it is not known whether their effect is there. Give their outputs in \`outputs\`.`;
    throw new EngineError('not_compensated', message);
  }

  async #source(id: string): Promise<Source> {
    const { pool, versions } = this.#parts;
    const source = await readSourceView(pool, versions, id);
    if (source === null)
      throw new EngineError('execution_not_found', `There is no execution ${id} any more.`);
    const { version, view } = source;
    const { status } = view;
    if (status === 'pending' || status === 'compensating') {
      const message = `Execution ${id} is ${status}; a fork needs one that is running, paused or final.`;
      throw new EngineError('wrong_state', message);
    }
    const isUndone = view.steps.some((state) => state?.held != null && state.held.undoing !== null);
    const inside = isUndone
      ? await readNotCompensatedInside(pool, id, compensatedInside(version).compensations)
      : new Set<string>();
    return { version, view, notCompensatedInside: inside };
  }
}

function beginOf({ body, caller }: Draft, reused: Fork['reused']): Extract<Event, { type: 'begin_fork' }> {
  const { execution_id, from } = body;
  return {
    type: 'begin_fork',
    reused,
    act: { act: 'fork', by: caller.name ?? null, detail: { execution_id, from } },
  };
}

function newFork(draft: Draft, reused: Fork['reused']): NewExecution {
  const { facts, version, inputs, key, digest, body } = draft;
  const { userId, workspaceId, priority, tags } = facts;
  return {
    version,
    row: {
      id: newId(),
      templateId: version.id,
      inputs: inputs.json,
      userId,
      workspaceId,
      priority,
      tags,
      idempotencyKey: key,
      requestedVersion: body.version ?? null,
      callbackUrl: null,
      startAfter: null,
    },
    fork: { mark: { source: body.execution_id, digest }, begin: beginOf(draft, reused) },
  };
}

/** Decides the beginning of the fork as its commit would, and says what comes of it. */
function dryRun(draft: Draft, { reused }: Fork): DryRun {
  const { graph } = draft.version;
  const view = emptyView(newId(), graph);
  const { ready } = transition(view, [beginOf(draft, reused)], newId);
  const taken = new Set(reused.map(({ slot }) => slot));
  const skipped = view.steps.filter((state) => state?.status === 'skipped' && !taken.has(state.slot));
  return {
    dry_run: true,
    resets: [],
    starts: ready.map((slot) => graph.steps[slot]!.key),
    cancels: [],
    skips: skipped.map((state) => graph.steps[state!.slot]!.key),
    warnings: [],
  };
}
