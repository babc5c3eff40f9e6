/**
 * Takes jobs from the queues: executions to begin, ready steps that no slot was free for, timers that are due.
 *
 * Jobs are fetched, held against the rows, and consumed in one transaction with what they bring about. A job
 * whose step is final or claimed is dropped; one whose step is still queued when the slots are gone is put back.
 */
import { findPosition } from '../core/view.ts';
import type { Tx } from '../db/client.ts';
import { readManyInputs } from '../db/workflow-execution.ts';
import type { ExecutionEngineQueue, FetchedJob, Job } from '../queue/execution-engine-queue.ts';
import type { Mail } from '../services/actor.ts';
import { newUnit, TIMER_PRIORITY, type Unit } from '../services/commit-unit.ts';
import type { ExecutionDoor } from '../services/execution-door.ts';
import type { LockedCommit } from '../services/locked-commit.ts';
import { JsonPayload } from '../services/payload.ts';
import type { Dispatcher } from './dispatcher.ts';

export interface ConsumerOptions {
  readonly door: ExecutionDoor;
  readonly locked: LockedCommit;
  readonly queue: ExecutionEngineQueue;
  readonly dispatcher: Dispatcher;
  onError(error: unknown): void;
}

const MOST_JOBS = 500;

export class Consumer {
  readonly #options: ConsumerOptions;
  #running: Promise<void> | null = null;
  #again = false;
  #open = true;

  constructor(options: ConsumerOptions) {
    this.#options = options;
  }

  /** Looks for jobs until there are none or no slot is free. */
  wake(): void {
    if (!this.#open) return;
    this.#again = true;
    this.#running ??= this.#drain().finally(() => {
      this.#running = null;
    });
  }

  async close(): Promise<void> {
    this.#open = false;
    await this.#running;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#again && this.#open) {
        this.#again = false;
        while (this.#open && (await this.runOnce()) > 0);
      }
    } catch (error) {
      this.#options.onError(error);
    }
  }

  /** One transaction; answers how many jobs it took. */
  async runOnce(): Promise<number> {
    const { locked } = this.#options;
    let units: Unit[] = [];
    let taken = 0;
    try {
      await locked.run(async (tx) => {
        const jobs = await this.#fetch(tx);
        taken = jobs.length;
        if (taken === 0) return [];
        const byExecution = Map.groupBy(jobs, ({ data }) => data.execution_id);
        const busy: FetchedJob[] = [];
        units = this.#units(byExecution, busy);
        return this.#process(tx, units, byExecution, busy, jobs);
      });
    } catch (error) {
      for (const unit of units) this.#options.door.abandon({ ...unit, plan: null });
      throw error;
    }
    return taken;
  }

  /** Ready steps before new executions, and timers whatever else there is. */
  async #fetch(tx: Tx): Promise<FetchedJob[]> {
    const { queue, dispatcher } = this.#options;
    const wanted = Math.min(dispatcher.spare, MOST_JOBS);
    const jobs = wanted === 0 ? [] : await queue.fetch(tx, 'MergeExecutionQueue', wanted);
    if (jobs.length < wanted) {
      jobs.push(...(await queue.fetch(tx, 'StepExecutionQueue', wanted - jobs.length)));
    }
    const starts = Math.min(wanted - jobs.length, dispatcher.room);
    if (starts === 0) {
      jobs.push(...(await queue.fetch(tx, 'WorkflowExecutionQueue', MOST_JOBS, TIMER_PRIORITY)));
      return jobs;
    }
    const begun = await queue.fetch(tx, 'WorkflowExecutionQueue', starts);
    dispatcher.backlog = begun.length === starts;
    return [...jobs, ...begun];
  }

  /** Executions with a commit on its way are left alone: their jobs go back. */
  #units(byExecution: ReadonlyMap<string, readonly FetchedJob[]>, busy: FetchedJob[]): Unit[] {
    const units: Unit[] = [];
    for (const [id, jobs] of byExecution) {
      const actor = this.#options.door.actors.get(id);
      if (actor.busy) {
        busy.push(...jobs);
        continue;
      }
      actor.busy = true;
      units.push(newUnit(actor, []));
    }
    return units;
  }

  async #process(
    tx: Tx,
    units: readonly Unit[],
    byExecution: ReadonlyMap<string, readonly FetchedJob[]>,
    busy: readonly FetchedJob[],
    jobs: readonly FetchedJob[],
  ): Promise<Unit[]> {
    const { door, locked, queue } = this.#options;
    const present = await locked.load(tx, units);
    await this.#readInputs(tx, present);
    const ready = present.map((unit) => ({
      ...unit,
      mails: [...unit.mails, ...byExecution.get(unit.actor.id)!.flatMap((job) => mailOf(unit, job))],
    }));
    const decided = door.decide(ready, true);
    await queue.consume(tx, jobs);
    const back = [
      ...busy,
      ...ready.flatMap((unit) => byExecution.get(unit.actor.id)!.filter((job) => isStillQueued(unit, job))),
    ];
    for (const statement of await queue.insertStatements(back.map(again))) await tx.query(statement);
    for (const unit of ready) await this.#deferUnready(tx, unit, byExecution.get(unit.actor.id)!);
    return decided;
  }

  /** Inputs are held against the schema when an execution is picked up: a main server may have written them. */
  async #readInputs(tx: Tx, units: readonly Unit[]): Promise<void> {
    const pending = units.filter(({ actor }) => actor.view!.status === 'pending');
    if (pending.length === 0) return;
    const inputs = await readManyInputs(
      tx,
      pending.map(({ actor }) => actor.id),
    );
    for (const { actor } of pending) actor.inputs = new JsonPayload(inputs.get(actor.id) ?? '{}');
  }

  async #deferUnready(tx: Tx, { actor }: Unit, jobs: readonly FetchedJob[]): Promise<void> {
    for (const job of jobs) {
      if (job.data.kind !== 'step') continue;
      const position = findPosition(actor.view!, job.data.step_id);
      if (position === null || actor.view!.steps[position]!.status !== 'waiting_inputs') continue;
      await this.#options.queue.defer(tx, job, job.data.step_id);
    }
  }
}

function mailOf({ actor }: Unit, { data }: FetchedJob): Mail[] {
  const view = actor.view!;
  switch (data.kind) {
    case 'start':
      return [{ event: begin(actor), settle: null }];
    case 'deadline':
      return [{ event: { type: 'time_out' }, settle: null }];
    case 'stop_overdue':
      return [{ event: { type: 'stop_overdue' }, settle: null }];
    case 'timer': {
      const position = findPosition(view, data.step_id);
      const { attempt, purpose } = data;
      return position === null
        ? []
        : [{ event: { type: 'wake', position, attempt, purpose, random: Math.random() }, settle: null }];
    }
    case 'step':
      return [];
  }
}

function begin(actor: Unit['actor']): Mail['event'] {
  const problems = actor.version!.validateInputs?.(actor.inputs?.value ?? {}) ?? [];
  if (problems.length === 0) return { type: 'begin' };
  const [first] = problems;
  return { type: 'reject', code: 'invalid_inputs', message: `inputs${first!.pointer}: ${first!.message}` };
}

function isStillQueued({ actor }: Unit, { data }: FetchedJob): boolean {
  if (data.kind !== 'step') return false;
  const position = findPosition(actor.view!, data.step_id);
  return position !== null && actor.view!.steps[position]!.status === 'queued';
}

function again({ queue, id, data, priority }: FetchedJob): Job {
  return { queue, id, data, priority, startAfter: null };
}
