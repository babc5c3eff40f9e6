/**
 * An engine of the schema version before, as far as the database can tell: the statements it sends, frozen in
 * tests/fixtures/previous-schema, in transactions like its own. What it decides is up to the test.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { JsonObject } from '../../../core/json/json.ts';

const FILE = join(import.meta.dir, '..', '..', 'fixtures', 'previous-schema', 'statements.sql');
const STATEMENTS = new Map(
  readFileSync(FILE, 'utf8')
    .split(/^-- /m)
    .slice(1)
    .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]),
);

export interface PublishedTemplate {
  readonly id: string;
  /** Ids of the step templates, by key. */
  readonly steps: Readonly<Record<string, string>>;
}

export interface StepRow {
  readonly id: string;
  readonly execution: string;
  /** Id of the step template. */
  readonly template: string;
  readonly status: string;
  readonly required?: number;
  readonly received?: readonly JsonObject[] | null;
  readonly attempt?: number;
  readonly owner?: string | null;
  readonly sequence: number;
}

export interface StepChangeRow {
  readonly id: string;
  readonly from: readonly [status: string, attempt: number, owner: string | null];
  readonly to: readonly [status: string, attempt: number, owner: string | null];
  readonly sequence: number;
  readonly retries?: number;
  readonly parked?: boolean;
  readonly received?: readonly JsonObject[];
  readonly error?: readonly [code: string, message: string];
  readonly timerMs?: number;
}

type Queue = 'WorkflowExecutionQueue' | 'StepExecutionQueue' | 'MergeExecutionQueue';

export class PreviousEngine {
  readonly id = randomUUID();
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async join(url: string): Promise<PreviousEngine> {
    const client = new pg.Client({ connectionString: url, application_name: 'test/previous' });
    await client.connect();
    const engine = new PreviousEngine(client);
    await engine.send('register_engine', [engine.id, 'all', 'host', 1, '0.0.9', 10]);
    return engine;
  }

  async leave(): Promise<void> {
    await this.#client.end();
  }

  /** Sends a statement. @param name as in the file */
  async send(name: string, values: unknown[]): Promise<Record<string, unknown>[]> {
    const text = STATEMENTS.get(name);
    if (text === undefined) throw new Error(`engines of the version before have no statement ${name}`);
    return (await this.#client.query(text, values)).rows;
  }

  /** Runs `work` in a transaction; what it throws undoes it. */
  async transaction(work: () => Promise<void>): Promise<void> {
    await this.#client.query('begin');
    try {
      await work();
      await this.#client.query('commit');
    } catch (error) {
      await this.#client.query('rollback');
      throw error;
    }
  }

  /** The database has not heard from it for so long that it counts as dead. */
  async fallSilent(): Promise<void> {
    await this.#client.query(
      `update execution_engines set heartbeat_at = now() - interval '30 seconds' where id = $1`,
      [this.id],
    );
  }

  async publish(definition: JsonObject & { steps: Record<string, JsonObject> }): Promise<PublishedTemplate> {
    const id = randomUUID();
    const source = JSON.stringify({ name: `t-${id}`, ...definition });
    const keys = Object.keys(definition.steps);
    const ids = keys.map(() => randomUUID());
    const steps = Object.values(definition.steps);
    await this.send('insert_template', [id, `t-${id}`, 1, null, null, source, `hash of ${id}`]);
    await this.send('insert_step_templates', [
      id,
      ids,
      keys,
      steps.map(({ type }) => type),
      steps.map((step) => JSON.stringify(step)),
    ]);
    return { id, steps: Object.fromEntries(keys.map((key, at) => [key, ids[at]!])) };
  }

  async insertExecution(
    id: string,
    template: PublishedTemplate,
    status: 'pending' | 'running',
    putOffMs?: number,
  ) {
    const none = [null];
    const sequence = status === 'running' ? 1 : 0;
    const head = [[id], [template.id], [status], [sequence], ['{"n":1}'], none, none, [0], ['{}']];
    await this.send('insert_executions', [...head, none, none, none, none, [putOffMs ?? null], 1]);
  }

  async insertSteps(rows: readonly StepRow[]): Promise<void> {
    await this.send('insert_steps', [
      rows.map(({ id }) => id),
      rows.map(({ execution }) => execution),
      rows.map(({ template }) => template),
      rows.map(({ status }) => status),
      rows.map(({ required = 0 }) => required),
      rows.map(({ received }) => (received == null ? null : jsonArray(received))),
      rows.map(({ attempt = 0 }) => attempt),
      rows.map(({ owner = null }) => owner),
      rows.map(({ sequence }) => sequence),
    ]);
  }

  /** Records a step of its own as completed. */
  async completeStep(id: string, attempt: number, output: string, sequence: number): Promise<void> {
    await this.send('complete_steps', [[id], [attempt], [this.id], [output], [null], [sequence], 1]);
  }

  async changeStep({ id, from, to, sequence, ...more }: StepChangeRow): Promise<void> {
    const { retries = 0, parked = false, received, error, timerMs } = more;
    await this.send('update_steps', [
      [id],
      [from[0]],
      [from[1]],
      [from[2]],
      [to[0]],
      [to[1]],
      [retries],
      [to[2]],
      [parked],
      [sequence],
      [received === undefined ? null : jsonArray(received)],
      [error?.[0] ?? null],
      [error?.[1] ?? null],
      [null],
      [timerMs ?? null],
      [null],
      1,
    ]);
  }

  async insertInput(step: string, from: string): Promise<void> {
    await this.send('insert_inputs', [[randomUUID()], [step], [from], [true], [null]]);
  }

  async advance(execution: string, fromSequence: number): Promise<void> {
    await this.send('advance_executions', [[execution], [fromSequence], 1]);
  }

  /** Moves an execution to another status; one that is completed gets its outputs. */
  async changeExecution(
    id: string,
    fromSequence: number,
    from: string,
    to: string,
    outputs: string | null = null,
  ) {
    const ended = to !== 'running';
    const change = [[id], [fromSequence], [from], [to], [from === 'pending'], [false], [null], [ended]];
    await this.send('change_executions', [...change, [outputs], [null], 1]);
  }

  /** Inserts a job due in `ms`, or now. */
  async insertJob(queue: Queue, id: string, data: JsonObject, ms = 0): Promise<void> {
    const priority = data.kind === 'step' ? 0 : 1_000_000_000;
    const job = { id, data, priority, startAfter: ms / 1000, __traceContext: null };
    await this.send('insert_jobs', [JSON.stringify([job]), 1, queue]);
  }

  async deleteJob(queue: Queue, id: string): Promise<void> {
    await this.send('delete_jobs', [queue, [id]]);
  }
}

/** An array literal of jsonb. */
function jsonArray(items: readonly JsonObject[]): string {
  return `{${items.map((item) => JSON.stringify(JSON.stringify(item))).join(',')}}`;
}
