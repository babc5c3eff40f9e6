/**
 * The capacity of this process: decides which ready steps get some of it, and runs their handlers.
 *
 * Capacity is a number of running steps. A step takes its place when it is claimed; the place is free again as soon as
 * the step's own handler has ended.
 *
 * No workspace takes all of the capacity once there are several. Steps that spend time in the sandbox get half of it, of
 * which no workspace takes all either.
 */
import type { Claim } from '../core/event.ts';
import { ReadyQueue } from '../core/fairness/ready-queue.ts';
import { Shares } from '../core/fairness/shares.ts';
import type { Graph } from '../core/graph.ts';
import type { StepState } from '../core/view.ts';
import { NOBODY } from '../db/pending-execution.ts';
import type { Actor, Loaded } from '../door/actor.ts';
import type { Capacity, ReadyBy, ReservedStep } from '../door/capacity.ts';
import type { Attempt } from './attempt.ts';
import type { AttemptStarter } from './attempt-starter.ts';
import { type LimitedStep, placeOf } from './limits/limited-step.ts';
import type { Gate, Turns } from './limits/turns.ts';
import { OwnSteps } from './scopes/own-steps.ts';

/** Ready steps kept in memory; those beyond it have their tickets and come back through the queue. */
const MAX_READY = 50_000;
/** Steps of executions in progress per step that may run: more would only wait, and need a ticket meanwhile. */
const ADMITTED_PER_PLACE = 2;

/**
 * With several workspaces, one of them may hold this multiple of the free capacity: 88 of 100. A small capacity is not
 * divided.
 */
const TIMES_FREE = 7;
/** The same for the capacity of sandboxed steps: 38 of 50. */
const TIMES_FREE_SANDBOXED = 3;

/** Time for which capacity is kept free for steps that the executions in progress may make ready. */
export const PATIENCE_MS = 25;

interface ReadyStep extends ReservedStep {
  readonly id: string;
  /** Set when limits hold the step back: the gate then decides about its turn. */
  readonly limited: LimitedStep | null;
}

export class Dispatcher implements Capacity, Turns {
  readonly owner: string;
  readonly capacity: number;
  readonly #starter: AttemptStarter;
  readonly #backlog: { readonly isWaiting: boolean };
  readonly #ready = new ReadyQueue<ReadyStep>();
  readonly #offered = new Set<string>();
  readonly #own: OwnSteps;
  readonly #attempts = new Map<string, Attempt>();
  /** Granted steps with limits: their places are taken already. */
  readonly #granted: LimitedStep[] = [];
  /** Sandboxed steps whose turn came while the sandbox had no place for their workspace. */
  readonly #aside = new ReadyQueue<ReadyStep>();
  readonly #running: Shares;
  readonly #sandboxed: Shares;
  #gate: Gate | null = null;
  /** Executions in progress here with their workspaces, the number of each workspace, and the sum of their weights. */
  readonly #admitted = new Map<Actor, string>();
  readonly #admittedOf = new Map<string, number>();
  #admittedWidth = 0;
  #lastWidth = 1;
  /** Since when capacity is free but kept for the executions in progress, of performance.now(). */
  #spareSince = Number.POSITIVE_INFINITY;
  #open = true;
  #onIdle: (() => void) | null = null;
  /**
   * @param backlog older waiting work: new executions wait behind it
   * @param hasPeers whether another engine may be waiting for work
   */
  constructor(
    owner: string,
    capacity: number,
    starter: AttemptStarter,
    backlog: { readonly isWaiting: boolean },
    hasPeers: () => boolean = () => false,
  ) {
    this.owner = owner;
    this.capacity = capacity;
    this.#starter = starter;
    this.#backlog = backlog;
    this.#own = new OwnSteps(capacity, hasPeers);
    this.#running = new Shares(capacity, capacity > TIMES_FREE ? TIMES_FREE : Number.POSITIVE_INFINITY);
    const sandboxed = Math.max(1, capacity >> 1);
    this.#sandboxed = new Shares(sandboxed, Math.min(TIMES_FREE_SANDBOXED, sandboxed - 1));
  }

  /** The gate and the capacity need each other: the composition root joins them. */
  useGate(gate: Gate): void {
    this.#gate = gate;
  }

  get runningCount(): number {
    return this.#attempts.size;
  }

  get readyCount(): number {
    return this.#ready.size;
  }

  /** Returns the free capacity that nothing in memory will take. */
  get spare(): number {
    return this.#open ? Math.max(0, this.#running.free - this.#ready.size) : 0;
  }

  /** Returns how many ready steps a look may take from the queue. */
  get wanted(): number {
    return this.#open ? Math.max(this.spare, this.#own.lying) : 0;
  }

  /** A look has taken what it found. */
  looked(): void {
    if (this.#own.lying > 0) this.#own.tookBack();
  }

  /** Stops claiming; running steps continue. */
  closeForClaims(): void {
    this.#open = false;
    for (const step of this.#granted.splice(0)) this.release(step);
  }

  hasRoom(graph: Graph, workspaceId: string | null): boolean {
    if (this.#backlog.isWaiting) return false;
    if (this.spare === 0) return this.isUnserved(workspaceId);
    if (!this.#admittedOf.has(workspaceId ?? NOBODY)) return true;
    return this.#admittedWidth + graph.width <= this.capacity * ADMITTED_PER_PLACE;
  }

  /** Returns whether the workspace has no step waiting for the next slot, so that it would be served in its turn. */
  isUnserved(workspaceId: string | null): boolean {
    return this.unservedRoom > 0 && !this.#ready.hasWorkspace(workspaceId ?? NOBODY);
  }

  /** Returns how many executions of unserved workspaces may begin although as many steps are ready as may run. */
  get unservedRoom(): number {
    if (!this.#open || this.#ready.size === 0) return 0;
    return Math.max(0, this.capacity - this.#ready.workspaceCount);
  }

  get servedWorkspaces(): string[] {
    return [...this.#ready.workspaces];
  }

  /** Returns how many executions as wide as the last one may still begin. */
  get room(): number {
    const { spare } = this;
    const left = this.capacity * ADMITTED_PER_PLACE - this.#admittedWidth;
    const fits = Math.floor(left / this.#lastWidth);
    if (fits > 0 || this.#admittedWidth === 0 || spare === 0) {
      this.#spareSince = Number.POSITIVE_INFINITY;
      return Math.min(spare, Math.max(1, fits));
    }
    // Wide executions that leave their share unused must not block others.
    const now = performance.now();
    this.#spareSince = Math.min(this.#spareSince, now);
    if (now - this.#spareSince < PATIENCE_MS) return 0;
    this.#spareSince = now;
    this.#recount();
    return Math.ceil(spare / this.#lastWidth);
  }

  /** Dismisses executions that continued elsewhere: no commit of this process did. */
  #recount(): void {
    for (const actor of this.#admitted.keys()) if (!actor.isUnderWay) this.dismiss(actor);
  }

  admit(loaded: Loaded): void {
    const { actor, view } = loaded;
    if (actor.weight > 0) return;
    const workspace = workspaceOf(loaded);
    actor.weight = view.graph.width;
    this.#admitted.set(actor, workspace);
    this.#admittedOf.set(workspace, (this.#admittedOf.get(workspace) ?? 0) + 1);
    this.#admittedWidth += actor.weight;
    this.#lastWidth = actor.weight;
  }

  dismiss(actor: Actor): void {
    if (actor.weight === 0) return;
    const workspace = this.#admitted.get(actor)!;
    const left = this.#admittedOf.get(workspace)! - 1;
    if (left > 0) this.#admittedOf.set(workspace, left);
    else this.#admittedOf.delete(workspace);
    this.#admitted.delete(actor);
    this.#admittedWidth -= actor.weight;
    actor.weight = 0;
  }

  offer(loaded: Loaded, slots: readonly number[], by: ReadyBy = 'loaded'): void {
    if (!this.#open || this.capacity === 0) return;
    const { graph, steps } = loaded.view;
    for (const shares of [this.#running, this.#sandboxed]) shares.meet(workspaceOf(loaded));
    for (const slot of slots) {
      // A step made ready by a plan that did not commit is missing here.
      if (steps[slot]?.status !== 'queued' || !this.#starter.canRun({ loaded, slot })) continue;
      if (loaded.step(slot).limits !== null) {
        this.#gate!.offer({ loaded, slot });
        continue;
      }
      const { id } = steps[slot]!;
      if (this.#offered.has(id) || Math.max(this.#ready.size, this.#aside.size) >= MAX_READY) continue;
      if (loaded.view.scope !== null && !this.#own.mayKeep(id, this.#running.free, by)) continue;
      this.#offered.add(id);
      this.#ready.push({
        workspace: workspaceOf(loaded),
        priority: loaded.facts.priority,
        executionId: loaded.id,
        rank: graph.rank[slot]!,
        item: { loaded, slot, id, limited: null },
      });
    }
  }

  reserve(): ReservedStep | null {
    if (!this.#open) return null;
    for (let step = this.#granted.shift(); step !== undefined; step = this.#granted.shift()) {
      if (this.#isUp(step)) return step;
    }
    for (;;) {
      const entry = this.#ready.pop((workspace) => this.#running.mayTake(workspace));
      if (entry === undefined) return null;
      const { item, workspace } = entry;
      if (isSandboxed(item) && !this.#sandboxed.mayTake(workspace)) {
        this.#aside.push(entry);
        continue;
      }
      this.#take(item);
      const step = item.limited ?? item;
      if (this.#isUp(step)) return step;
    }
  }

  /** Returns whether this process already holds the step and it takes its turn here. */
  isOffered(stepId: string): boolean {
    return this.#offered.has(stepId);
  }

  isKept(stepId: string): boolean {
    return this.#own.has(stepId);
  }

  /** Returns whether to claim a step that has its place now. A step that asks keeps its place until the answer. */
  #isUp(step: ReadyStep | LimitedStep): boolean {
    const canRun = this.#starter.canRun(step);
    if ('limited' in step) {
      this.#offered.delete(step.id);
      this.#own.remove(step.id);
      if (!canRun) this.release(step);
      return canRun;
    }
    const verdict = this.#gate!.popped(step, canRun);
    if (verdict === 'drop') this.release(step);
    return verdict === 'start';
  }

  enqueue(step: LimitedStep): void {
    const { loaded, slot, id } = step;
    this.#ready.push(placeOf(step, { loaded, slot, id, limited: step }));
  }

  grant(step: LimitedStep): void {
    if (this.#open) this.#granted.push(step);
    else this.release(step);
  }

  #take(step: ReservedStep): void {
    const workspace = workspaceOf(step.loaded);
    this.#running.take(workspace);
    if (isSandboxed(step)) this.#sandboxed.take(workspace);
  }

  release(step: ReservedStep): void {
    const workspace = workspaceOf(step.loaded);
    this.#running.give(workspace);
    if (isSandboxed(step)) {
      this.#sandboxed.give(workspace);
      // A step that waits for its share of the sandbox may be looked at again.
      const next = this.#aside.pop((waiting) => this.#sandboxed.mayTake(waiting));
      if (next !== undefined) this.#ready.push(next);
    }
    if (this.#running.taken === 0) this.#onIdle?.();
  }

  refund(step: ReservedStep): void {
    this.release(step);
  }

  begin(step: ReservedStep, stepId: string, claim: Claim): void {
    const { actor } = step.loaded;
    actor.runningCount += 1;
    const attempt = this.#starter.start(step, stepId, claim, (done) => {
      actor.runningCount -= 1;
      this.release(step);
      if (this.#attempts.get(stepId) === done) this.#attempts.delete(stepId);
    });
    if (!attempt.isDone) this.#attempts.set(stepId, attempt);
  }

  holds(stepId: string, attempt: number): boolean {
    return this.#attempts.get(stepId)?.claim.attempt === attempt;
  }

  runs(stepId: string): boolean {
    return this.#attempts.has(stepId);
  }

  abort(steps: readonly Pick<StepState, 'id'>[], graceful: boolean): void {
    for (const { id } of steps) {
      const attempt = this.#attempts.get(id);
      if (graceful) attempt?.stop();
      else attempt?.drop();
    }
  }

  lose(stepIds: readonly string[], graceMs: number): void {
    for (const id of stepIds) this.#attempts.get(id)?.lose(graceMs);
  }

  /** Resolves when no handler is running, or the time is over. */
  async idleWithin(ms: number): Promise<void> {
    if (this.#running.taken === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }

  attempts(): Iterable<Attempt> {
    return this.#attempts.values();
  }
}

function isSandboxed({ loaded, slot }: ReservedStep): boolean {
  return loaded.step(slot).sandboxed;
}

function workspaceOf({ workspaceId }: Loaded): string {
  return workspaceId ?? NOBODY;
}
