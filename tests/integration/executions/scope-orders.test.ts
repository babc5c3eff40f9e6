/**
 * Scopes of one step on two engines, at their doors: what ends a scope on one of them reaches the holder's commit on the
 * other one by the inbox, in every order that locks allow.
 */
import { expect, test } from 'bun:test';
import type { Client } from 'pg';
import type { AddedScopes, Event } from '../../../core/event.ts';
import type { JsonObject } from '../../../core/json/json.ts';
import { viewKey } from '../../../core/view.ts';
import { explore, Schedule } from '../../support/faults/interleaving.ts';
import { Doors, OrderedEngine, type StepNow } from '../../support/faults/two-doors.ts';
import { type Fixture, fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

let doors: Doors;
/** Whoever changes rows without a door. */
let other: Client;
let schedule: Schedule;
let one: OrderedEngine;
let two: OrderedEngine;

/** Writes down, at each commit, what it leaves open below a step or an execution that it ends. */
const ENDS_TOO_EARLY = `
  create table test_left_open (ended uuid not null, scope text not null);
  create function note_left_open() returns trigger language plpgsql as $$
  begin
    insert into test_left_open
    select new.id, path from workflow_scopes where status = 'running' and new.id in (step_execution_id, workflow_execution_id);
    return null;
  end $$;
  create constraint trigger left_open after update on workflow_executions deferrable initially deferred
    for each row when (new.completed_at is not null) execute function note_left_open();
  create constraint trigger left_open after update on workflow_step_executions deferrable initially deferred
    for each row when (new.completed_at is not null) execute function note_left_open()`;

/** Ends what is left, and drops the tickets: there is nobody who fetches them. */
async function endAll(): Promise<void> {
  const { rows } = await doors.looker.query(`select id from workflow_executions where status = 'running'`);
  for (const { id } of rows) await one.deliver(id, { type: 'cancel', reason: null });
  await doors.looker.query(`delete from pgboss.job where data ->> 'kind' = 'inbox'`);
  expect((await doors.looker.query('select ended, scope from test_left_open')).rows).toEqual([]);
}

const setUp = async (fixture: Fixture) => {
  doors = await Doors.open(fixture);
  other = await fixture.client();
  await doors.looker.query(ENDS_TOO_EARLY);
  schedule = new Schedule(doors.looker, []);
  [one, two] = ['one', 'two'].map((name) => new OrderedEngine(name, doors, () => schedule, false)) as [
    OrderedEngine,
    OrderedEngine,
  ];
  await fixture.use(Promise.resolve([one, two]), (made) => Promise.all(made.map((engine) => engine.close())));
};
fixtureForAll(setUp, { atEnd: endAll });

const foreach = (steps: JsonObject, more: JsonObject = {}): JsonObject => ({
  type: 'foreach',
  with: { items: 1, steps },
  ...more,
});
const NOOP = { one: { type: 'noop' } };
const FLAT = { each: foreach(NOOP) };
const RETRIED = { each: foreach(NOOP, { retry: { limit: 1, delay: '1h', jitter: false } }) };

/** With the claim as the engine keeps it that made it. */
const held = ({ slot, id, attempt, owner, sequence }: StepNow) => ({
  slot,
  claim: { attempt, owner: owner!, sequence, stepId: id },
});
const complete = (step: StepNow): Event => ({
  type: 'complete',
  ...held(step),
  output: { json: '1' },
  routes: null,
});
const fail = (step: StepNow, retryable = false): Event => ({
  type: 'fail',
  ...held(step),
  error: { code: 'boom', message: 'failed', details: null },
  retryable,
  retryAfterMs: null,
  begun: true,
  random: 0.5,
});
const park = (step: StepNow, scopes: Partial<AddedScopes>): Event => ({
  type: 'park',
  ...held(step),
  forMs: null,
  state: null,
  timeoutMs: null,
  waitingFor: { kind: 'scopes' },
  scopes: { count: 0, concurrency: 10, tolerated: null, ...scopes },
});

/** Starts an execution whose step `each` holds so many open scopes. */
async function holding(steps: JsonObject, count: number, more: Partial<AddedScopes> = {}): Promise<string> {
  const execution = await doors.start(one, await doors.publish(steps));
  const { each } = await doors.steps(execution);
  expect(await one.deliver(execution, park(each!, { count, ...more }))).toBe('applied');
  return execution;
}

/** The engine reads the inbox of the top level, as with a ticket. */
async function fold(engine: OrderedEngine, execution: string): Promise<void> {
  engine.forget(execution);
  await engine.deliver(execution, { type: 'reconsider' });
  await engine.door.settled();
}

async function numbers(execution: string): Promise<JsonObject> {
  const { rows } = await doors.looker.query(
    `select h.open_count as open, h.completed_count as completed, h.failed_count as failed, h.cancelled_count as cancelled
       from workflow_held_scopes h join workflow_step_executions s on s.id = h.step_execution_id
      where s.workflow_execution_id = $1 and s.scope = ''`,
    [execution],
  );
  return rows[0];
}

/** How many scopes of the step at the top level are in which status. */
async function scopes(execution: string): Promise<JsonObject> {
  const { rows } = await doors.looker.query(
    `select count(*) filter (where c.status = 'running')::integer as open,
            count(*) filter (where c.status = 'completed')::integer as completed,
            count(*) filter (where c.status = 'failed')::integer as failed,
            count(*) filter (where c.status = 'cancelled')::integer as cancelled
       from workflow_scopes c join workflow_step_executions s on s.id = c.step_execution_id
      where s.workflow_execution_id = $1 and s.scope = ''`,
    [execution],
  );
  return rows[0];
}

test('the failure of a scope that came by the inbox is counted once, though its holder is decided twice', async () => {
  const execution = await holding(FLAT, 2);
  const steps = await doors.steps(execution);
  expect(await two.deliver(steps['each[0]/one']!.view, fail(steps['each[0]/one']!))).toBe('applied');
  await fold(two, execution);
  expect(await doors.status(execution)).toBe('failed');
  expect(await scopes(execution)).toEqual({ open: 0, completed: 0, failed: 1, cancelled: 1 });
  expect(await numbers(execution)).toEqual({ open: 0, completed: 0, failed: 1, cancelled: 1 });
});

test('an end is not lost at an engine that knows the holder as of before its scopes were opened', async () => {
  const execution = await doors.start(one, await doors.publish(FLAT));
  const { each } = await doors.steps(execution);
  await two.deliver(execution, { type: 'reconsider' });
  await one.deliver(execution, park(each!, { count: 1 }));
  const step = (await doors.steps(execution))['each[0]/one']!;
  // With the scope in memory it commits without locks.
  await two.deliver(step.view, { type: 'reconsider' });
  expect(await two.deliver(step.view, complete(step))).toBe('applied');
  await fold(two, execution);
  expect(await scopes(execution)).toEqual({ open: 0, completed: 1, failed: 0, cancelled: 0 });
  expect(await numbers(execution)).toEqual({ open: 0, completed: 1, failed: 0, cancelled: 0 });
});

test('a scope that completes while a cancel ends its holder is counted as what it is', async () => {
  const version = await doors.publish(FLAT);
  const seen = new Set<string>();
  await explore(doors.looker, async (next) => {
    const execution = await doors.start(one, version);
    const { each } = await doors.steps(execution);
    await one.deliver(execution, park(each!, { count: 2 }));
    const step = (await doors.steps(execution))['each[1]/one']!;
    schedule = next;
    await next.run(
      new Map([
        [
          'one',
          {
            begin: () => one.deliver(execution, { type: 'cancel', reason: null }),
            isQuiet: () => one.committer.actors.isQuiet,
          },
        ],
        [
          'two',
          {
            begin: () => two.deliver(step.view, complete(step)),
            isQuiet: () => two.committer.actors.isQuiet,
          },
        ],
      ]),
    );
    await fold(two, execution);
    const rows = await scopes(execution);
    seen.add(JSON.stringify(rows));
    expect(rows.open).toBe(0);
    expect(await numbers(execution)).toEqual(rows);
  });
  expect(seen.size).toBe(2);
});

test('a scope that completes while its holder fails is no part of the next attempt, and the numbers are right', async () => {
  const version = await doors.publish(RETRIED);
  await explore(doors.looker, async (next) => {
    const execution = await doors.start(one, version);
    const { each } = await doors.steps(execution);
    await one.deliver(execution, park(each!, { count: 3 }));
    const steps = await doors.steps(execution);
    const [bad, good] = [steps['each[0]/one']!, steps['each[1]/one']!];
    schedule = next;
    await next.run(
      new Map([
        [
          'one',
          {
            begin: () => one.deliver(bad.view, fail(bad, true)),
            isQuiet: () => one.committer.actors.isQuiet,
          },
        ],
        [
          'two',
          {
            begin: () => two.deliver(good.view, complete(good)),
            isQuiet: () => two.committer.actors.isQuiet,
          },
        ],
      ]),
    );
    await fold(two, execution);
    const rows = await scopes(execution);
    expect(await numbers(execution)).toEqual(rows);
    const now = (await doors.steps(execution)).each!;
    expect(now.status).toBe('retrying');
    await one.deliver(execution, {
      type: 'wake',
      slot: 0,
      attempt: 1,
      sequence: now.sequence,
      purpose: 'resume',
      random: 0,
    });
    const { rows: unfinished } = await doors.looker.query(
      `select index from workflow_scopes where step_execution_id = $1 and status in ('failed', 'cancelled') order by index`,
      [now.id],
    );
    const again = unfinished.map(({ index }) => index);
    await one.deliver(execution, park((await doors.steps(execution)).each!, { again }));
    expect(await numbers(execution)).toEqual({
      open: again.length,
      completed: 3 - again.length,
      failed: 0,
      cancelled: 0,
    });
  });
});

test('a late result of a scope of an earlier run is not taken for one of the scope that was opened anew', async () => {
  const execution = await holding(RETRIED, 1);
  const before = await doors.steps(execution);
  const timeout: Event = { type: 'step_time_out', slot: 0, retries: 0, random: 0 };
  await doors.looker.query(`update workflow_step_executions set deadline_at = now() where id = $1`, [
    before.each!.id,
  ]);
  one.forget(execution);
  expect(await one.deliver(execution, timeout)).toBe('applied');
  const { sequence, attempt } = (await doors.steps(execution)).each!;
  await one.deliver(execution, { type: 'wake', slot: 0, attempt, sequence, purpose: 'resume', random: 0 });
  await one.deliver(execution, park((await doors.steps(execution)).each!, { again: [0] }));
  const [old, now] = [before['each[0]/one']!, (await doors.steps(execution))['each[0]/one']!];
  // Only the step's id tells the two attempts apart.
  expect({ ...now, id: old.id }).toEqual(old);
  const claims = [old, now].map(({ id }) => one.capacity.begun.find(({ stepId }) => stepId === id)!.claim);
  expect(await one.deliver(now.view, { ...complete(old), claim: claims[0]! } as Event)).toBe('late');
  expect(await one.deliver(now.view, { ...complete(now), claim: claims[1]! } as Event)).toBe('applied');
});

/** A schedule that lets everything pass, but for what is sent while it is shut: that waits until it is let go. */
class Gate extends Schedule {
  #opened: Promise<void> | null = null;
  held = 0;

  /** Returns what lets go. */
  shut(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#opened = promise;
    return resolve;
  }

  open(): void {
    this.#opened = null;
  }

  override async send<T>(_session: string, statement: () => Promise<T>): Promise<T> {
    const opened = this.#opened;
    if (opened !== null) this.held += 1;
    await opened;
    return statement();
  }
}

test.each([
  ['a look at it', (): Event => ({ type: 'reconsider' })],
  ['a late result', complete],
] as const)(
  'a claim in a scope that was opened anew is not given back by %s that is older',
  async (_, eventOf) => {
    const execution = await holding(RETRIED, 1);
    const before = await doors.steps(execution);
    const old = before['each[0]/one']!;
    await doors.looker.query(`update workflow_step_executions set deadline_at = now() where id = $1`, [
      before.each!.id,
    ]);
    one.forget(execution);
    await one.deliver(execution, { type: 'step_time_out', slot: 0, retries: 0, random: 0 });
    const { sequence, attempt } = (await doors.steps(execution)).each!;
    await one.deliver(execution, { type: 'wake', slot: 0, attempt, sequence, purpose: 'resume', random: 0 });
    const { each } = await doors.steps(execution);
    const gate = new Gate(doors.looker, []);
    schedule = gate;
    const letLateGo = gate.shut();
    const late = one.deliver(old.view, eventOf(old));
    await until(() => gate.held === 1);
    gate.open();
    await one.deliver(execution, park(each!, { again: [0] }));
    const now = (await doors.steps(execution))['each[0]/one']!;
    // Its handler has ended, and its result is on its way.
    const { begun } = one.capacity;
    const [claimed] = begun.splice(
      begun.findIndex(({ stepId }) => stepId === now.id),
      1,
    );
    const letResultGo = gate.shut();
    const result = one.deliver(now.view, { ...complete(now), claim: claimed!.claim } as Event);
    await until(() => gate.held === 2);
    gate.open();
    letLateGo();
    await late;
    letResultGo();
    expect(await result).toBe('applied');
    expect(begun.filter(({ stepId }) => stepId === now.id)).toEqual([]);
  },
);

/** Tickets for the top level of an execution. */
async function tickets(execution: string): Promise<number> {
  const { rows } = await doors.looker.query(
    `select count(*)::integer as count from pgboss.job
      where data ->> 'kind' = 'inbox' and data ->> 'execution_id' = $1 and data ->> 'scope' is null`,
    [execution],
  );
  return rows[0].count;
}

test('each commit that ends a scope without its holder leaves a row and a ticket of its own', async () => {
  const execution = await holding(FLAT, 2);
  const steps = await doors.steps(execution);
  for (const [at, key] of ['each[0]/one', 'each[1]/one'].entries()) {
    await two.deliver(steps[key]!.view, complete(steps[key]!));
    expect([await tickets(execution), await inbox(execution)]).toEqual([at + 1, at + 1]);
  }
  await fold(two, execution);
  expect(await numbers(execution)).toEqual({ open: 0, completed: 2, failed: 0, cancelled: 0 });
  expect(await inbox(execution)).toBe(0);
});

async function inbox(execution: string): Promise<number> {
  const { rows } = await doors.looker.query(
    'select count(*)::integer as count from workflow_inbox where workflow_execution_id = $1',
    [execution],
  );
  return rows[0].count;
}

/** Runs works of both engines side by side in every order. */
async function inEveryOrder(
  steps: JsonObject,
  race: (execution: string) => Promise<{
    readonly works: readonly [one: () => Promise<unknown>, two: () => Promise<unknown>];
    readonly holds: () => Promise<void>;
  }>,
): Promise<void> {
  const version = await doors.publish(steps);
  await explore(doors.looker, async (next) => {
    const execution = await doors.start(one, version);
    const { works, holds } = await race(execution);
    schedule = next;
    const engines = [one, two].map(({ name, committer }, at) => {
      const isQuiet = () => committer.actors.isQuiet;
      return [name, { begin: works[at]!, isQuiet }] as const;
    });
    await next.run(new Map(engines));
    await holds();
  });
}

test('an end that comes while others are read is neither lost nor counted twice', async () => {
  await inEveryOrder(FLAT, async (execution) => {
    const { each } = await doors.steps(execution);
    await one.deliver(execution, park(each!, { count: 3 }));
    const steps = await doors.steps(execution);
    const [first, second] = [steps['each[0]/one']!, steps['each[1]/one']!];
    await two.deliver(first.view, complete(first));
    one.forget(execution);
    return {
      works: [
        () => one.deliver(execution, { type: 'reconsider' }),
        () => two.deliver(second.view, complete(second)),
      ],
      holds: async () => {
        await fold(one, execution);
        expect(await numbers(execution)).toEqual({ open: 1, completed: 2, failed: 0, cancelled: 0 });
        expect(await inbox(execution)).toBe(0);
      },
    };
  });
});

const TWO_STEPS = { each: foreach({ one: { type: 'noop' }, next: { type: 'noop', needs: ['one'] } }) };

test.each(['stop', 'cancel'] as const)(
  'after a %s nothing begins in a scope, whatever is on its way there',
  async (type) => {
    const seen = new Set<string>();
    await inEveryOrder(TWO_STEPS, async (execution) => {
      const { each } = await doors.steps(execution);
      await one.deliver(execution, park(each!, { count: 1 }));
      const step = (await doors.steps(execution))['each[0]/one']!;
      // It has the scope in memory, as of before the end from above.
      await two.deliver(step.view, { type: 'reconsider' });
      let ended = 0;
      return {
        works: [
          async () => {
            await one.deliver(execution, { type, reason: null });
            ended = two.capacity.begun.length;
          },
          () => two.deliver(step.view, complete(step)),
        ],
        holds: async () => {
          expect(two.capacity.begun.length).toBe(ended);
          await fold(two, execution);
          await two.door.settled();
          const { 'each[0]/next': next } = await doors.steps(execution);
          seen.add(next?.status ?? 'none');
          if (next?.status === 'running') await two.deliver(next.view, complete(next));
          await fold(two, execution);
          expect(await doors.status(execution)).toBe('cancelled');
          expect((await scopes(execution)).open).toBe(0);
        },
      };
    });
    expect(seen.size).toBeGreaterThan(1);
  },
);

test('an end from above takes scopes along whose commit it had to wait for', async () => {
  const execution = await holding(FLAT, 3);
  await other.query('begin');
  await other.query(
    `update workflow_scopes set sequence = sequence + 1 where workflow_execution_id = $1 and index < 2`,
    [execution],
  );
  const cancelled = one.deliver(execution, { type: 'cancel', reason: null });
  await until(async () => {
    const { rows } = await doors.looker.query(
      `select from pg_stat_activity where datname = current_database() and application_name = 'one' and wait_event_type = 'Lock'`,
    );
    return rows.length > 0;
  });
  await other.query('commit');
  expect(await cancelled).toBe('applied');
  expect(await scopes(execution)).toEqual({ open: 0, completed: 0, failed: 0, cancelled: 3 });
});

test('scopes that a commit was to open are forgotten when it fails', async () => {
  await inEveryOrder(FLAT, async (execution) => {
    const { each } = await doors.steps(execution);
    return {
      works: [
        () => one.deliver(execution, park(each!, { count: 3 })),
        () => two.deliver(execution, { type: 'cancel', reason: null }),
      ],
      holds: async () => {
        expect((await scopes(execution)).open).toBe(0);
        const kept = [0, 1, 2].map((index) =>
          one.committer.actors.find(viewKey(execution, { holderId: each!.id, index })),
        );
        expect(kept.filter((actor) => actor?.busy)).toEqual([]);
      },
    };
  });
});

const PARALLEL = { one: { type: 'noop' }, other: { type: 'noop' } };
/** When a scope fails, its holder does, and with it everything is over: the join has fired long before. */
const OVER_AT_ONCE = {
  each: foreach(PARALLEL),
  other: { type: 'noop' },
  join: { type: 'noop', needs: ['other', { step: 'each', on: 'failure' }], join: 'any' },
};

test('an execution that ends with a scope is not final before it, though its output comes later', async () => {
  one.readsLater = true;
  try {
    await inEveryOrder(OVER_AT_ONCE, async (execution) => {
      const { each, other } = await doors.steps(execution);
      await one.deliver(execution, complete(other!));
      await one.deliver(execution, complete((await doors.steps(execution)).join!));
      await one.deliver(execution, park(each!, { count: 1 }));
      const steps = await doors.steps(execution);
      const [bad, good] = [steps['each[0]/one']!, steps['each[0]/other']!];
      return {
        works: [() => one.deliver(bad.view, fail(bad)), () => two.deliver(good.view, complete(good))],
        holds: async () => {
          await fold(one, execution);
          expect(await doors.status(execution)).toBe('completed');
          expect(await scopes(execution)).toEqual({ open: 0, completed: 0, failed: 1, cancelled: 0 });
        },
      };
    });
  } finally {
    one.readsLater = false;
  }
});
