/**
 * An execution in this process, or one scope of it: its view, the payloads produced or read here, and the events that wait for the next
 * commit.
 *
 * An actor is a cache with a mailbox: a lost actor is loaded again.
 *
 * Invariant: while an actor is busy a plan of its view is being committed, and no other plan is made. Only the actor
 * writes `busy` and `loaded`.
 */
import type { ParentRef } from '../core/children/parent.ts';
import type { Event, StepError } from '../core/event.ts';
import type { ReceivedInput } from '../core/graph.ts';
import type { Plan } from '../core/plan.ts';
import { type ExecutionView, executionOf, type ViewKey } from '../core/view.ts';
import type { KeptPayloads } from '../payload/kept-payloads.ts';
import type { ReadableExecution } from '../payload/readable-execution.ts';
import type { CompiledScope, CompiledStep, TemplateVersion } from '../template/version.ts';
import type { OutputEvaluation } from './output-evaluation.ts';
import type { ReadInbox } from './scopes/read-inbox.ts';

/** The fate of an event. `missing`: there is no such execution. */
export type Delivery = 'applied' | 'late' | 'missing';

export interface Mail {
  readonly event: Event;
  readonly settle: ((delivery: Delivery, error?: unknown) => void) | null;
  /** Plans of scopes of the same execution, written in the commit of the event if that is applied; left out: none. */
  readonly inside?: readonly Plan[] | undefined;
}

/** Facts of an execution that never change. */
export interface ExecutionFacts {
  readonly version: TemplateVersion;
  readonly workspaceId: string | null;
  readonly priority: number;
  /** Called at the end of the execution; null: no callback. */
  readonly callbackUrl: string | null;
  /** The step that waits for its end; null: none does. */
  readonly parent: ParentRef | null;
}

/** An execution with its view in memory. */
export class Loaded implements ReadableExecution {
  readonly actor: Actor;
  readonly facts: ExecutionFacts;
  readonly view: ExecutionView;
  readonly around: Loaded | null;
  readonly kept: KeptPayloads;
  readonly errors: Map<number, StepError>;
  /** Edges as they were when the join was decided, by slot, until the step has begun. */
  readonly received: Map<number, readonly ReceivedInput[]>;
  /** Start of the execution, of performance.now(); null: not begun. */
  begunAt: number | null = null;

  constructor(actor: Actor, facts: ExecutionFacts, view: ExecutionView, around: Loaded | null = null) {
    this.actor = actor;
    this.facts = facts;
    this.view = view;
    this.around = around;
    this.kept = actor.kept;
    this.errors = actor.errors;
    this.received = actor.received;
  }

  /** Id of the execution. */
  get id(): string {
    return this.view.id;
  }

  get workspaceId(): string | null {
    return this.facts.workspaceId;
  }

  get version(): TemplateVersion {
    return this.facts.version;
  }

  /** The steps of the view, and its output. */
  get scope(): CompiledScope {
    const { graphs, scopes } = this.version;
    return this.view.scope === null ? scopes[0]! : scopes[graphs.indexOf(this.view.graph)]!;
  }

  /** Returns the compiled step of the instance in a slot. */
  step(slot: number): CompiledStep {
    return this.version.steps[this.view.graph.firstPosition + slot]!;
  }
}

export class Actor {
  readonly key: ViewKey;
  mailbox: Mail[] = [];
  /** Its input and its outputs by slot, as far as they were produced or read in this process. */
  kept: KeptPayloads;
  /** Errors of failed steps by slot, as far as they were produced or read in this process. */
  errors = new Map<number, StepError>();
  /** Edges as they were when the join was decided, by slot, until the step has begun. */
  received = new Map<number, readonly ReceivedInput[]>();
  /** Ready slots that were skipped during a commit. */
  readonly held: number[] = [];
  /** Retries of its execution that what is kept here has seen. */
  #resumes = 0;
  /** Its share of the executions in progress here; 0: none. */
  weight = 0;
  /** Handlers running in this process. */
  runningCount = 0;
  /** The output that the end of the execution waits for; null: none. */
  evaluation: OutputEvaluation<Mail> | null = null;
  /** Rows of its inbox that were read for the next commit. */
  #news: ReadInbox | null = null;
  #hasTakenNews = false;
  #busy = false;
  /** Id of the template version by whose slots it keeps things; null: none so far. */
  #versionId: string | null = null;
  #loaded: Loaded | null = null;

  constructor(key: ViewKey, kept: KeptPayloads) {
    this.key = key;
    this.kept = kept;
  }

  get executionId(): string {
    return executionOf(this.key);
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Null until the execution is loaded, and again after a failed commit. */
  get loaded(): Loaded | null {
    return this.#loaded;
  }

  /** Returns whether this process has work for the execution: a handler, a commit, or an event to be committed. */
  get isUnderWay(): boolean {
    return this.#busy || this.mailbox.length > 0 || this.runningCount > 0;
  }

  /** Reserves the actor for a commit. */
  take(): void {
    this.#busy = true;
  }

  free(): void {
    this.#busy = false;
    this.#hasTakenNews = false;
  }

  /** Whether a commit on its way has rows of the inbox that were read before: until it is through they may be read again. */
  get hasTakenNews(): boolean {
    return this.#hasTakenNews;
  }

  /** Whether rows of its inbox were read for the next commit. */
  get hasNews(): boolean {
    return this.#news !== null;
  }

  /** Keeps rows of the inbox for the next commit, in place of those that were read before. */
  hear(news: ReadInbox): void {
    this.#news = news;
  }

  takeNews(): ReadInbox | null {
    const news = this.#news;
    this.#news = null;
    this.#hasTakenNews = news !== null;
    return news;
  }

  /** Returns the retries of its execution that it has seen. */
  get resumes(): number {
    return this.#resumes;
  }

  /** Outputs and errors of steps that a retry has reset are of no use any more. @param resumes retries so far */
  resumed(resumes: number): void {
    if (this.#resumes === resumes) return;
    this.#resumes = resumes;
    this.kept.forget();
    this.errors.clear();
    this.received.clear();
  }

  load(facts: ExecutionFacts, view: ExecutionView, around: Loaded | null = null): Loaded {
    if (this.#versionId !== null && this.#versionId !== facts.version.id) this.#keepAnew();
    this.#versionId = facts.version.id;
    this.#loaded = new Loaded(this, facts, view, around);
    return this.#loaded;
  }

  /** The slots of another version are others. Handlers that run go on with what they know. */
  #keepAnew(): void {
    this.kept.end();
    this.kept = this.kept.successor();
    this.errors = new Map();
    this.received = new Map();
  }

  /**
   * Gives up the evaluation of the output: the events that the decision had taken are decided again, after those that
   * came meanwhile.
   */
  interrupt(evaluation: OutputEvaluation<Mail>): void {
    this.mailbox.push(...evaluation.mails);
    this.forget();
    this.free();
  }

  /** A half-applied decision is worthless: discards the view, the steps that it made ready, and the output it awaits. */
  forget(): void {
    this.evaluation?.interrupt();
    this.evaluation = null;
    this.#loaded = null;
    this.#news = null;
    this.held.length = 0;
  }
}
