/**
 * The slots of this process: which ready step gets one, and which handlers run.
 *
 * Capacity is a number of running steps. A slot is taken when a step is claimed and free again as soon as its
 * own handler is done, whatever its neighbours do.
 */
import type { Claim } from '../core/event.ts';
import type { Graph } from '../core/graph.ts';
import { ReadyQueue } from '../core/ready-queue.ts';
import type { StepState } from '../core/view.ts';
import { NOBODY } from '../db/pending-execution.ts';
import type { Actor, Loaded } from '../door/actor.ts';
import type { Capacity, ReservedStep } from '../door/capacity.ts';
import type { Attempt } from './attempt.ts';
import type { AttemptStarter } from './attempt-starter.ts';
import { type LimitedStep, placeOf } from './limits/limited-step.ts';
import type { Gate, Turns } from './limits/turns.ts';

/** Ready steps kept in memory; those beyond it have their tickets and come back through the queue. */
const MAX_READY = 50_000;
/** Steps of executions under way per slot: more would only wait, and need a ticket while they do. */
const ADMITTED_PER_SLOT = 2;

/** How long slots are kept free for steps that the executions under way may make ready. */
export const PATIENCE_MS = 25;

interface ReadyStep extends ReservedStep {
  readonly id: string;
  /** Set when limits hold the step back: the gate says what becomes of its turn. */
  readonly limited: LimitedStep | null;
}

export class Dispatcher implements Capacity, Turns {
  readonly owner: string;
  readonly capacity: number;
  readonly #starter: AttemptStarter;
  readonly #backlog: { readonly isWaiting: boolean };
  readonly #ready = new ReadyQueue<ReadyStep>();
  readonly #offered = new Set<string>();
  readonly #attempts = new Map<string, Attempt>();
  /** Granted steps with limits: their slots are taken already. */
  readonly #granted: LimitedStep[] = [];
  /** Sandboxed steps that have had their turn while others had their share of the slots. */
  readonly #aside = new ReadyQueue<ReadyStep>();
  readonly #maxSandboxed: number;
  #sandboxedCount = 0;
  #gate: Gate | null = null;
  /** Executions under way here, and the sum of their weights. */
  readonly #admitted = new Set<Actor>();
  #admittedWidth = 0;
  #lastWidth = 1;
  /** Of performance.now(): slots are free, but kept for the executions under way. */
  #spareSince = Number.POSITIVE_INFINITY;
  #taken = 0;
  #open = true;
  #onIdle: (() => void) | null = null;
  /** @param backlog older work that waits: new executions line up behind it */
  constructor(
    owner: string,
    capacity: number,
    starter: AttemptStarter,
    backlog: { readonly isWaiting: boolean },
  ) {
    this.owner = owner;
    this.capacity = capacity;
    this.#starter = starter;
    this.#backlog = backlog;
    this.#maxSandboxed = Math.max(1, capacity >> 1);
  }

  /** The gate needs the slots and the slots need it: the composition root joins the two. */
  useGate(gate: Gate): void {
    this.#gate = gate;
  }

  get runningCount(): number {
    return this.#attempts.size;
  }

  get readyCount(): number {
    return this.#ready.size;
  }

  /** Slots that nothing in memory will fill. */
  get spare(): number {
    return this.#open ? Math.max(0, this.capacity - this.#taken - this.#ready.size) : 0;
  }

  /** Stops claiming; what runs goes on. */
  closeForClaims(): void {
    this.#open = false;
    while (this.#granted.pop() !== undefined) this.release();
  }

  hasRoom(graph: Graph, workspaceId: string | null): boolean {
    if (this.#backlog.isWaiting) return false;
    if (this.spare === 0) return this.isUnserved(workspaceId);
    const width = this.#admittedWidth;
    return width === 0 || width + graph.width <= this.capacity * ADMITTED_PER_SLOT;
  }

  /** Whether the workspace has no step in the line for the next slot, which it would be given in its turn. */
  isUnserved(workspaceId: string | null): boolean {
    return this.unservedRoom > 0 && !this.#ready.hasWorkspace(workspaceId ?? NOBODY);
  }

  /** How many executions of workspaces that are not served may begin although the line is as long as the slots. */
  get unservedRoom(): number {
    if (!this.#open || this.#ready.size === 0) return 0;
    return Math.max(0, this.capacity - this.#ready.workspaceCount);
  }

  get servedWorkspaces(): string[] {
    return [...this.#ready.workspaces];
  }

  /** How many executions as wide as the last one may still begin. */
  get room(): number {
    const { spare } = this;
    const left = this.capacity * ADMITTED_PER_SLOT - this.#admittedWidth;
    const fits = Math.floor(left / this.#lastWidth);
    if (fits > 0 || this.#admittedWidth === 0 || spare === 0) {
      this.#spareSince = Number.POSITIVE_INFINITY;
      return Math.min(spare, Math.max(1, fits));
    }
    // Wide executions that do not use the slots they might need must not keep others from them.
    const now = performance.now();
    this.#spareSince = Math.min(this.#spareSince, now);
    if (now - this.#spareSince < PATIENCE_MS) return 0;
    this.#spareSince = now;
    this.#recount();
    return Math.ceil(spare / this.#lastWidth);
  }

  /** Executions that went on elsewhere were dismissed by no commit of this process. */
  #recount(): void {
    for (const actor of this.#admitted) if (!actor.isUnderWay) this.dismiss(actor);
  }

  admit({ actor, view }: Loaded): void {
    if (actor.weight > 0) return;
    actor.weight = view.graph.width;
    this.#admitted.add(actor);
    this.#admittedWidth += actor.weight;
    this.#lastWidth = actor.weight;
  }

  dismiss(actor: Actor): void {
    if (actor.weight === 0) return;
    this.#admitted.delete(actor);
    this.#admittedWidth -= actor.weight;
    actor.weight = 0;
  }

  offer(loaded: Loaded, slots: readonly number[]): void {
    if (!this.#open || this.capacity === 0) return;
    const { graph, steps } = loaded.view;
    for (const slot of slots) {
      // A step that was made ready by a plan that did not commit is not there.
      if (steps[slot]?.status !== 'queued' || !this.#starter.canRun({ loaded, slot })) continue;
      if (loaded.step(slot).limits !== null) {
        this.#gate!.offer({ loaded, slot });
        continue;
      }
      const { id } = steps[slot]!;
      if (this.#offered.has(id) || this.#ready.size >= MAX_READY) continue;
      this.#offered.add(id);
      this.#ready.push({
        workspace: loaded.facts.workspaceId ?? NOBODY,
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
      if (this.#isUp(step)) return this.#counted(step);
    }
    while (this.#taken < this.capacity) {
      const entry = this.#ready.pop();
      if (entry === undefined) return null;
      this.#taken += 1;
      const { limited, id } = entry.item;
      if (limited === null) {
        if (!this.#starter.canRun(entry.item)) {
          this.#offered.delete(id);
          this.#nextAside();
          this.release();
          continue;
        }
        if (isSandboxed(entry.item)) {
          if (this.#sandboxedCount >= this.#maxSandboxed) {
            this.#taken -= 1;
            this.#aside.push(entry);
            continue;
          }
          this.#sandboxedCount += 1;
        }
        this.#offered.delete(id);
        return entry.item;
      }
      if (this.#isUp(limited)) return this.#counted(limited);
    }
    return null;
  }

  /** Whether the step is in this process's hands already and takes its turn here. */
  isOffered(stepId: string): boolean {
    return this.#offered.has(stepId);
  }

  /** Whether the step, which has a slot, is to be claimed now. One that asks keeps its slot until the answer. */
  #isUp(step: LimitedStep): boolean {
    const what = this.#gate!.popped(step, this.#starter.canRun(step));
    if (what === 'drop') this.release();
    return what === 'start';
  }

  /** A step with limits of its own is not held to the share of the sandbox, but counts towards it. */
  #counted(step: LimitedStep): LimitedStep {
    if (isSandboxed(step)) this.#sandboxedCount += 1;
    return step;
  }

  enqueue(step: LimitedStep): void {
    const { loaded, slot, id } = step;
    this.#ready.push(placeOf(step, { loaded, slot, id, limited: step }));
  }

  grant(step: LimitedStep): void {
    if (this.#open) this.#granted.push(step);
    else this.release();
  }

  release(): void {
    this.#taken -= 1;
    if (this.#taken === 0) this.#onIdle?.();
  }

  refund(step: ReservedStep): void {
    this.#taken -= 1;
    this.#leaveSandbox(step);
  }

  /** The next step that waits for its share of the sandbox may be looked at again. */
  #leaveSandbox(step: ReservedStep): void {
    if (!isSandboxed(step)) return;
    this.#sandboxedCount -= 1;
    this.#nextAside();
  }

  #nextAside(): void {
    const next = this.#aside.pop();
    if (next !== undefined) this.#ready.push(next);
  }

  begin(step: ReservedStep, stepId: string, claim: Claim): void {
    const { actor } = step.loaded;
    actor.runningCount += 1;
    const attempt = this.#starter.start(step, stepId, claim, (done) => {
      actor.runningCount -= 1;
      this.#taken -= 1;
      this.#leaveSandbox(step);
      if (this.#taken === 0) this.#onIdle?.();
      if (this.#attempts.get(stepId) === done) this.#attempts.delete(stepId);
    });
    if (!attempt.isDone) this.#attempts.set(stepId, attempt);
  }

  holds(stepId: string, attempt: number): boolean {
    return this.#attempts.get(stepId)?.claim.attempt === attempt;
  }

  abort(states: readonly StepState[], graceful: boolean): void {
    for (const { id } of states) {
      const attempt = this.#attempts.get(id);
      if (graceful) attempt?.stop();
      else attempt?.drop();
    }
  }

  /** Resolves when no handler runs any more, or the time is over. */
  async idleWithin(ms: number): Promise<void> {
    if (this.#taken === 0) return;
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
  return loaded.step(slot).type.sandboxed === true;
}
