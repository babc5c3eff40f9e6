/**
 * Several engines' doors in one process, on one database, whose statements a schedule puts in order. Around them is
 * what a door needs and no more: whoever runs steps takes every ready one and does nothing with it.
 */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { PgBoss } from 'pg-boss';
import type { Claim, Event } from '../../../core/event.ts';
import type { JsonObject } from '../../../core/json/json.ts';
import { listSteps } from '../../../core/scopes/step-list.ts';
import { type ViewKey, viewKey } from '../../../core/view.ts';
import { createPool, type Pool, type Tx } from '../../../db/connection/client.ts';
import { Lane } from '../../../db/connection/lane.ts';
import { scopeOfStep } from '../../../db/scopes/scope.ts';
import type { Statement } from '../../../db/statement.ts';
import { newId } from '../../../db/uuid.ts';
import { insertTemplate } from '../../../db/workflow-template.ts';
import { readDefinition } from '../../../definition/definition.ts';
import type { Delivery, Loaded } from '../../../door/actor.ts';
import type { Capacity, ReservedStep } from '../../../door/capacity.ts';
import { Committer } from '../../../door/committer.ts';
import { Migrations } from '../../../door/control/migrations.ts';
import { ExecutionDoor } from '../../../door/execution-door.ts';
import { LockedCommit } from '../../../door/locked-commit.ts';
import { HeldInbox } from '../../../door/scopes/held-inbox.ts';
import { JsonPayload } from '../../../payload/json-payload.ts';
import { startBoss } from '../../../queue/boss.ts';
import { ExecutionEngineQueue } from '../../../queue/execution-engine-queue.ts';
import type { TemplateVersion } from '../../../template/version.ts';
import type { TemplateVersions } from '../../../template/versions.ts';
import type { Fixture } from '../fixture.ts';
import { lintOfTests, templateVersions } from '../invariants.ts';
import type { Schedule } from './interleaving.ts';

export interface Begun {
  readonly execution: string;
  readonly slot: number;
  readonly stepId: string;
  readonly claim: Claim;
}

/** Takes every ready step at once and writes down which claims came through. */
class Taker implements Capacity {
  readonly owner = randomUUID();
  readonly begun: Begun[] = [];
  /** Whether it takes what is ready. */
  takes = true;
  readonly #ready: ReservedStep[] = [];

  hasRoom(): boolean {
    return true;
  }
  admit(): void {}
  dismiss(): void {}
  offer(loaded: Loaded, slots: readonly number[]): void {
    if (this.takes) for (const slot of slots) this.#ready.push({ loaded, slot });
  }
  reserve() {
    return this.#ready.shift() ?? null;
  }
  refund(): void {}
  begin({ loaded, slot }: ReservedStep, stepId: string, claim: Claim): void {
    this.begun.push({ execution: loaded.id, slot, stepId, claim });
  }
  isKept(): boolean {
    return false;
  }

  holds(stepId: string, attempt: number): boolean {
    return this.begun.some((begun) => begun.stepId === stepId && begun.claim.attempt === attempt);
  }
  abort(): void {}
  lose(): void {}
}

/** A lane that waits for its turn. */
class OrderedLane extends Lane {
  readonly #order: () => Schedule;
  readonly #name: string;

  constructor(url: string, name: string, order: () => Schedule) {
    super(url, { applicationName: name });
    this.#order = order;
    this.#name = name;
  }

  override transaction(statements: readonly Statement[]): Promise<void> {
    return this.#order().send(this.#name, () => super.transaction(statements));
  }
}

/**
 * A pool whose statements wait for their turn: all of them, or only those after which another one may be served: what
 * takes the locks and what gives them up.
 */
function orderedPool(pool: Pool, name: string, order: () => Schedule, isFine: boolean): Pool {
  const connect = async (): Promise<Tx> => {
    const tx = await pool.connect();
    const query = (...all: unknown[]) => {
      const run = () => (tx.query as (...all: unknown[]) => Promise<unknown>).apply(tx, all);
      return isFine || isTurn(all[0]) ? order().send(name, run) : run();
    };
    return new Proxy(tx, {
      get: (target, key) => {
        if (key === 'query') return query;
        const value = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  return { connect } as unknown as Pool;
}

function nameOf(statement: unknown): string {
  return String((statement as { name?: string }).name);
}

function isTurn(statement: unknown): boolean {
  return (
    statement === 'commit' ||
    /^lock_((free_)?(executions|scopes)|open_scopes)$|^delete_inbox$/.test(nameOf(statement))
  );
}

export class OrderedEngine {
  readonly name: string;
  readonly capacity = new Taker();
  readonly committer: Committer;
  readonly door: ExecutionDoor;
  /** Whether outputs of executions and scopes are not at hand, and come later. */
  readsLater = false;
  /** Whether it leaves rows for a view to the engine that holds it, and folds such rows itself. */
  hasPeers = false;
  /** Reads what others have left for views that it holds. */
  readonly inbox: HeldInbox;
  readonly locked: LockedCommit;
  readonly #lane: OrderedLane;
  readonly #pool: Pool;

  constructor(name: string, { url, queue, versions }: Doors, order: () => Schedule, isFine: boolean) {
    this.name = name;
    this.#lane = new OrderedLane(url, name, order);
    this.#pool = createPool(url, { applicationName: name, max: 2, byIndex: true });
    this.committer = new Committer({
      queue,
      capacity: this.capacity,
      outputs: {
        load: (_execution, _plan, slots) => {
          const found = new Map(slots.map((slot) => [slot, new JsonPayload('1')]));
          return this.readsLater ? Promise.resolve(found) : found;
        },
        evaluate: () => '1',
        message: String,
      },
      subscribers: [{ committed: (units) => this.inbox.committed(units) }],
      observer: { conflict: () => {}, commitFailed: () => {} },
      stopGraceMs: 60_000,
      maxOutputBytes: 1_048_576,
      hasPeers: () => this.hasPeers,
      wake: () => this.door.wake(),
    });
    const { committer } = this;
    const pool = orderedPool(this.#pool, name, order, isFine);
    const locked = new LockedCommit({ pool, committer, versions, queue });
    this.locked = locked;
    const migrations = new Migrations({ committer, locked, versions, queue });
    this.door = new ExecutionDoor({ lanes: [this.#lane], committer, locked, migrations });
    this.inbox = new HeldInbox({
      db: this.#pool,
      actors: committer.actors,
      hasPeers: () => this.hasPeers,
      wake: () => this.door.wake(),
      onError: (error) => {
        throw error;
      },
    });
  }

  deliver(view: ViewKey, event: Event): Promise<Delivery> {
    return this.door.deliver(view, event);
  }

  /** Forgets a view: the next event of it is decided under a lock, together with what is in its inbox. */
  forget(view: ViewKey): void {
    this.committer.actors.find(view)?.forget();
  }

  async close(): Promise<void> {
    await this.door.settled();
    await this.#lane.close();
    await this.#pool.end();
  }
}

export interface StepNow {
  /** Of a step in a scope: the scope's path, and its key. */
  readonly key: string;
  readonly view: ViewKey;
  readonly id: string;
  /** At the top level a slot is a position. */
  readonly slot: number;
  readonly status: string;
  readonly attempt: number;
  readonly owner: string | null;
  readonly sequence: number;
}

/** The database and what is shared on it. */
export class Doors {
  readonly url: string;
  readonly looker: pg.Client;
  readonly queue: ExecutionEngineQueue;
  readonly versions: TemplateVersions;

  private constructor(url: string, looker: pg.Client, boss: PgBoss) {
    this.url = url;
    this.looker = looker;
    this.queue = new ExecutionEngineQueue(boss, 'pgboss.job');
    this.versions = templateVersions(url);
  }

  static async open(fixture: Fixture): Promise<Doors> {
    const { url } = await fixture.database();
    const starting = startBoss({ url, schema: 'pgboss', onError: () => {} });
    const boss = await fixture.use(starting, (made) => made.stop({ graceful: false, close: true }));
    return new Doors(url, await fixture.client(), boss);
  }

  async publish(steps: JsonObject): Promise<TemplateVersion> {
    const id = randomUUID();
    const { template } = readDefinition({ name: `t-${id}`, steps }, lintOfTests(this.url));
    await insertTemplate(this.looker as unknown as Tx, {
      id,
      name: `t-${id}`,
      version: 1,
      workspaceId: null,
      description: null,
      definition: JSON.stringify({ name: `t-${id}`, steps }),
      definitionHash: id,
      steps: listSteps(template!.steps).map(({ path, place, step }) => ({
        id: newId(),
        key: path,
        type: step.type,
        place,
      })),
    });
    return this.versions.get(this.looker, id);
  }

  /** Starts an execution through an engine's door, which takes its ready steps. */
  async start({ door }: OrderedEngine, version: TemplateVersion): Promise<string> {
    const id = newId();
    const nothing = { userId: null, workspaceId: null, idempotencyKey: null, requestedVersion: null };
    const row = { id, templateId: version.id, inputs: '{}', priority: 0, tags: [], callbackUrl: null };
    await door.start([{ row: { ...row, ...nothing, startAfter: null }, version }], false);
    return id;
  }

  async status(execution: string): Promise<string> {
    const { rows } = await this.looker.query('select status from workflow_executions where id = $1', [
      execution,
    ]);
    return rows[0].status;
  }

  /** Edges whose target, which needs all of them, has times before the end of their producer. */
  async timesBeforeTheirInputs(execution: string): Promise<string[]> {
    const { rows } = await this.looker.query(
      `select format('%s began at %s and ended at %s, its edge was resolved at %s, and what it waited for ended at %s',
                     s.id, s.started_at, s.completed_at, i.received_at, p.completed_at) as detail
         from workflow_step_executions s
         join workflow_input_tracker i on i.step_execution_id = s.id
         join workflow_step_executions p on p.id = i.from_step_execution_id
        where s.workflow_execution_id = $1
          and least(s.started_at, s.completed_at, i.received_at) < p.completed_at`,
      [execution],
    );
    return rows.map(({ detail }) => detail);
  }

  async steps(execution: string): Promise<Record<string, StepNow>> {
    const { rows } = await this.looker.query(
      `select s.scope, s.holder_id, t.key, t.position as slot, s.id, s.status, s.attempt_count as attempt, s.claimed_by as owner,
              s.sequence::integer as sequence
         from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
        where s.workflow_execution_id = $1 order by t.position`,
      [execution],
    );
    // Steps inside a step follow those of the levels above.
    const first = new Map<string, number>();
    return Object.fromEntries(
      rows.map(({ scope, holder_id, key, slot, ...row }) => {
        const place = key.slice(0, key.lastIndexOf('/') + 1);
        if (!first.has(place)) first.set(place, slot);
        const path = scope === '' ? key : `${scope}/${key.slice(place.length)}`;
        const view = viewKey(execution, scopeOfStep(holder_id, scope));
        return [path, { ...row, key: path, view, slot: slot - first.get(place)! }];
      }),
    );
  }
}
