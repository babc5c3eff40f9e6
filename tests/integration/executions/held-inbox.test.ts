/**
 * Ends of scopes that one engine leaves to another one, which holds their step: it folds them without a lock, and beside the
 * ticket that comes due when it does not.
 */
import { describe, expect, spyOn, test } from 'bun:test';
import type { Event } from '../../../core/event.ts';
import type { TemplateVersion } from '../../../template/version.ts';
import { explore, Schedule } from '../../support/faults/interleaving.ts';
import { Doors, OrderedEngine, type StepNow } from '../../support/faults/two-doors.ts';
import { type Fixture, fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

let doors: Doors;
let schedule: Schedule;
let one: OrderedEngine;
let two: OrderedEngine;
let version: TemplateVersion;
/** Its step that holds scopes comes after another one. */
let later: TemplateVersion;

const setUp = async (fixture: Fixture) => {
  doors = await Doors.open(fixture);
  schedule = new Schedule(doors.looker, []);
  [one, two] = ['one', 'two'].map((name) => new OrderedEngine(name, doors, () => schedule, false)) as [
    OrderedEngine,
    OrderedEngine,
  ];
  for (const engine of [one, two]) engine.hasPeers = true;
  await fixture.use(Promise.resolve([one, two]), (made) => Promise.all(made.map((engine) => engine.close())));
  const each = { type: 'foreach', with: { items: 1, steps: { one: { type: 'noop' } } } };
  version = await doors.publish({ each });
  later = await doors.publish({ first: { type: 'noop' }, each: { ...each, needs: ['first'] } });
};
/** There is nobody who fetches tickets. */
const endAll = async () => {
  const { rows } = await doors.looker.query(`select id from workflow_executions where status = 'running'`);
  for (const { id } of rows) await one.deliver(id, { type: 'cancel', reason: null });
  await doors.looker.query(`delete from pgboss.job where data ->> 'kind' = 'inbox'`);
};
fixtureForAll(setUp, { atEnd: endAll });

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

/** Starts an execution whose step holds so many scopes, all open, in the memory of `one`. Returns their steps. */
async function holding(count: number): Promise<{ execution: string; items: StepNow[] }> {
  const execution = await doors.start(one, version);
  const { each } = await doors.steps(execution);
  const scopes = { count, concurrency: count, tolerated: null };
  await one.deliver(execution, { type: 'park', ...held(each!), ...PARKED, scopes });
  const steps = await doors.steps(execution);
  return { execution, items: Array.from({ length: count }, (_, index) => steps[`each[${index}]/one`]!) };
}

async function counted(execution: string): Promise<{ open: number; completed: number }> {
  const { rows } = await doors.looker.query(
    `select h.open_count as open, h.completed_count as completed
       from workflow_held_scopes h join workflow_step_executions s on s.id = h.step_execution_id
      where s.workflow_execution_id = $1`,
    [execution],
  );
  return rows[0];
}

/** The rows that wait for the execution, and its tickets: whether each has the id of a row, and is due at once. */
async function left(execution: string) {
  const { rows: waiting } = await doors.looker.query(
    'select id from workflow_inbox where workflow_execution_id = $1',
    [execution],
  );
  const { rows: tickets } = await doors.looker.query(
    `select id, start_after <= now() as is_due from pgboss.job
      where data ->> 'kind' = 'inbox' and data ->> 'execution_id' = $1 and state = 'created'`,
    [execution],
  );
  const ids = waiting.map(({ id }) => id);
  return {
    rows: ids.length,
    tickets: tickets.map(({ id, is_due: isDue }) => ({ ofRow: ids.includes(id), isDue })),
  };
}

/** An engine reads the inbox under a lock, as with a ticket. */
async function fold(engine: OrderedEngine, execution: string): Promise<void> {
  engine.forget(execution);
  await engine.deliver(execution, { type: 'reconsider' });
  await engine.door.settled();
}

test('are folded in one commit, without a lock, and their tickets go with them', async () => {
  const { execution, items } = await holding(3);
  for (const item of items.slice(0, 2)) expect(await two.deliver(item.view, complete(item))).toBe('applied');
  const ticket = { ofRow: true, isDue: false };
  expect(await left(execution)).toEqual({ rows: 2, tickets: [ticket, ticket] });
  const { answers } = one.locked;
  one.inbox.heard([execution]);
  await until(async () => (await counted(execution)).completed === 2);
  await one.door.settled();
  expect(await counted(execution)).toEqual({ open: 1, completed: 2 });
  expect(await left(execution)).toEqual({ rows: 0, tickets: [] });
  expect(one.locked.answers).toBe(answers);
});

/** Has `one` read what has come for the execution, and waits for what it makes of that. */
async function hearing(execution: string): Promise<void> {
  const actor = one.committer.actors.find(execution)!;
  const hear = spyOn(actor, 'hear');
  one.inbox.heard([execution]);
  await until(() => hear.mock.calls.length === 1 && !actor.hasNews);
  await one.door.settled();
}

const PARKED = { forMs: null, state: null, timeoutMs: null, waitingFor: { kind: 'scopes' } } as const;

describe('that come to an engine whose view is older', () => {
  /** `two` opens a scope of the step, and its end comes for `one`, whose view is of before. */
  async function endedElsewhere(execution: string): Promise<void> {
    const { each } = await doors.steps(execution);
    const scopes = { count: 1, concurrency: 1, tolerated: null };
    await two.deliver(execution, { type: 'park', ...held(each!), ...PARKED, scopes });
    const item = (await doors.steps(execution))['each[0]/one']!;
    two.forget(execution);
    await two.deliver(item.view, complete(item));
  }

  test('than the scopes, they are folded under a lock', async () => {
    const execution = await doors.start(one, version);
    await endedElsewhere(execution);
    await hearing(execution);
    expect(await counted(execution)).toEqual({ open: 0, completed: 1 });
  });

  test('than the step that holds them, they stay for their ticket', async () => {
    const execution = await doors.start(one, later);
    const { first } = await doors.steps(execution);
    await two.deliver(execution, complete(first!));
    await endedElsewhere(execution);
    await hearing(execution);
    expect(await left(execution)).toEqual({ rows: 1, tickets: [{ ofRow: true, isDue: false }] });
    await fold(two, execution);
    expect(await counted(execution)).toEqual({ open: 0, completed: 1 });
  });
});

test('are found by their ticket when no engine holds the step', async () => {
  const { execution, items } = await holding(1);
  await two.deliver(items[0]!.view, complete(items[0]!));
  one.forget(execution);
  one.inbox.heard([execution]);
  await fold(two, execution);
  expect(await counted(execution)).toEqual({ open: 0, completed: 1 });
});

/** Holds the statement with a number until it is let go. */
class HeldAt extends Schedule {
  readonly #number: number;
  readonly #opened = Promise.withResolvers<void>();
  #sent = 0;

  constructor(number: number) {
    super(doors.looker, []);
    this.#number = number;
  }

  get isHeld(): boolean {
    return this.#sent >= this.#number;
  }

  letGo(): void {
    this.#opened.resolve();
  }

  override async send<T>(_session: string, statement: () => Promise<T>): Promise<T> {
    this.#sent += 1;
    if (this.#sent === this.#number) await this.#opened.promise;
    return statement();
  }
}

test('are counted once when the same engine reads them with a ticket as well', async () => {
  const { execution, items } = await holding(3);
  await two.deliver(items[0]!.view, complete(items[0]!));
  // Locks, then deletes what it has read from the inbox.
  const gate = new HeldAt(2);
  schedule = gate;
  const folded = fold(one, execution);
  await until(() => gate.isHeld);
  one.inbox.heard([execution]);
  await until(() => one.committer.actors.find(execution)!.hasNews);
  gate.letGo();
  await folded;
  await one.door.settled();
  expect(await counted(execution)).toEqual({ open: 2, completed: 1 });
  schedule = new Schedule(doors.looker, []);
});

test('are counted once in every order of the holder, the ticket and the next end', async () => {
  await explore(doors.looker, async (next) => {
    const { execution, items } = await holding(3);
    for (const item of items.slice(0, 2)) await two.deliver(item.view, complete(item));
    schedule = next;
    const begin = (engine: OrderedEngine, work: () => Promise<unknown>) => ({
      begin: work,
      isQuiet: () => engine.committer.actors.isQuiet,
    });
    await next.run(
      new Map([
        [
          'one',
          begin(one, async () => {
            one.inbox.heard([execution]);
            await one.deliver(items[2]!.view, complete(items[2]!));
          }),
        ],
        ['two', begin(two, () => fold(two, execution))],
      ]),
    );
    schedule = new Schedule(doors.looker, []);
    await fold(two, execution);
    expect(await counted(execution)).toEqual({ open: 0, completed: 3 });
  });
});
