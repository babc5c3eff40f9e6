/**
 * Races, in every order there is: what two or three engines send about one execution at the same moment reaches the
 * database in all orders that locks allow. Whatever the order, one of them is first and the others are told.
 */
import { expect, test } from 'bun:test';
import type { Event } from '../../../core/event.ts';
import type { JsonObject } from '../../../core/json/json.ts';
import type { Delivery } from '../../../door/actor.ts';
import type { TemplateVersion } from '../../../template/version.ts';
import { explore, Schedule } from '../../support/faults/interleaving.ts';
import { Doors, OrderedEngine, type StepNow } from '../../support/faults/two-doors.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let doors: Doors;

fixtureForAll(async (fixture) => {
  doors = await Doors.open(fixture);
});

const NAMES = ['one', 'two', 'three'] as const;
type Name = (typeof NAMES)[number];
type Steps = Readonly<Record<string, StepNow>>;

interface Race {
  /** Of three: their statements between a lock and its end are not told apart, nobody else gets past them. */
  readonly isWide?: boolean;
  /** Prepares the execution that engine `one` has started; nothing is ordered yet. */
  readonly before?: (engines: Engines, execution: string) => Promise<void>;
  /** What each engine sends. */
  readonly events: (steps: Steps) => Partial<Record<Name, Event>>;
  /** What must hold when all of them were answered. */
  readonly holds: (said: Readonly<Record<Name, Delivery>>, steps: Steps, status: string) => void;
  /** Looks at the rows before what is left is completed. */
  readonly after?: (engines: Engines, execution: string) => Promise<void>;
  /** How the execution ends when everything that runs completes. */
  readonly end: (said: Readonly<Record<Name, Delivery>>) => string;
}

type Engines = Readonly<Record<Name, OrderedEngine>>;

async function inEveryOrder(definition: JsonObject, race: Race): Promise<number> {
  const version = await doors.publish(definition);
  let schedule = new Schedule(doors.looker, []);
  const engines = Object.fromEntries(
    NAMES.map((name) => [name, new OrderedEngine(name, doors, () => schedule, !race.isWide)]),
  ) as Engines;
  try {
    return await explore(doors.looker, async (next) => {
      schedule = next;
      await raceOnce(engines, version, race, next);
    });
  } finally {
    await Promise.all(Object.values(engines).map((engine) => engine.close()));
  }
}

async function raceOnce(
  engines: Engines,
  version: TemplateVersion,
  race: Race,
  schedule: Schedule,
): Promise<void> {
  const execution = await doors.start(engines.one, version);
  await race.before?.(engines, execution);
  const events = race.events(await doors.steps(execution));
  const said = {} as Record<Name, Delivery>;
  const works = Object.entries(events).map(([name, event]) => {
    const engine = engines[name as Name];
    const begin = async () => {
      said[name as Name] = await engine.deliver(execution, event);
    };
    return [name, { begin, isQuiet: () => engine.committer.actors.isQuiet }] as const;
  });
  const begunBefore = NAMES.map((name) => engines[name].capacity.begun.length);
  await schedule.run(new Map(works));
  const begun = NAMES.flatMap((name, at) => engines[name].capacity.begun.slice(begunBefore[at]!));
  const attempts = begun.map(({ stepId, claim }) => `${stepId} ${claim.attempt}`);
  expect(attempts.length).toBe(new Set(attempts).size);
  race.holds(said, await doors.steps(execution), await doors.status(execution));
  await race.after?.(engines, execution);
  await finish(engines, execution);
  expect(await doors.status(execution)).toBe(race.end(said));
  expect(await doors.timesBeforeTheirInputs(execution)).toEqual([]);
}

/** Completes what runs and wakes what waits, until nothing does. */
async function finish(engines: Engines, execution: string): Promise<void> {
  for (let left = 20; left > 0; left -= 1) {
    const steps = Object.values(await doors.steps(execution));
    const open = steps.find(({ status }) => ['running', 'queued', 'retrying', 'waiting'].includes(status));
    if (open === undefined) return;
    const engine =
      NAMES.map((name) => engines[name]).find(({ capacity }) => capacity.owner === open.owner) ?? engines.one;
    if (open.status === 'running') await engine.deliver(execution, complete(open));
    else if (open.status === 'queued') await engine.deliver(execution, { type: 'reconsider' });
    else await engine.deliver(execution, wake(open, 'resume'));
  }
  throw new Error('the execution does not end');
}

const held = ({ slot, attempt, owner }: StepNow) => ({ slot, claim: { attempt, owner: owner! } });
const complete = (step: StepNow): Event => ({
  type: 'complete',
  ...held(step),
  output: { json: '1' },
  routes: null,
});
const fail = (step: StepNow): Event => ({
  type: 'fail',
  ...held(step),
  error: { code: 'boom', message: 'failed', details: null },
  retryable: true,
  retryAfterMs: null,
  begun: true,
  random: 0.5,
});
const rescue = (step: StepNow): Event => ({ type: 'rescue', ...held(step) });
const wake = ({ slot, attempt, sequence }: StepNow, purpose: 'resume' | 'timeout'): Event => ({
  type: 'wake',
  slot,
  attempt,
  sequence,
  purpose,
  random: 0.5,
});
const CANCEL: Event = { type: 'cancel', reason: null };

const noop = (needs: readonly string[] = [], more: JsonObject = {}): JsonObject => ({
  type: 'noop',
  ...(needs.length === 0 ? {} : { needs: [...needs] }),
  ...more,
});

const RETRIED = { a: noop([], { retry: { limit: 1, delay: '1h', jitter: false } }) };

const applied = (said: Partial<Record<Name, Delivery>>) =>
  Object.entries(said)
    .filter(([, delivery]) => delivery === 'applied')
    .map(([name]) => name)
    .sort();

test('a cancel and the end of the last step: the first one counts, the other is late, and final is final', async () => {
  const seen = new Set<string>();
  const count = await inEveryOrder(
    { a: noop() },
    {
      events: ({ a }) => ({ one: complete(a!), two: CANCEL }),
      holds: (said, { a }, status) => {
        const [first, ...more] = applied(said);
        expect(more).toEqual([]);
        expect([status, a!.status]).toEqual(
          first === 'one' ? ['completed', 'completed'] : ['cancelled', 'cancelled'],
        );
        seen.add(status);
      },
      end: ({ one }) => (one === 'applied' ? 'completed' : 'cancelled'),
    },
  );
  expect(count).toBeGreaterThan(2);
  expect(seen).toEqual(new Set(['completed', 'cancelled']));
});

test('a cancel, a completion and the start of what follows: nothing starts after the cancel', async () => {
  const seen = new Set<string>();
  await inEveryOrder(
    { a: noop(), b: noop(['a']), c: noop(['b']) },
    {
      events: ({ a }) => ({ one: complete(a!), two: CANCEL }),
      holds: (said, steps, status) => {
        expect([said.two, status]).toEqual(['applied', 'cancelled']);
        const a = said.one === 'applied' ? 'completed' : 'cancelled';
        expect(Object.values(steps).map((step) => step.status)).toEqual([a, 'cancelled', 'cancelled']);
        seen.add(a);
      },
      end: () => 'cancelled',
    },
  );
  expect(seen).toEqual(new Set(['completed', 'cancelled']));
});

test('two completions before a join: it fires once, on one of the two engines', async () => {
  const seen = new Set<string | null>();
  await inEveryOrder(
    { a: noop(), b: noop(), join: noop(['a', 'b']) },
    {
      before: handOver,
      events: ({ a, b }) => ({ one: complete(a!), two: complete(b!) }),
      holds: (said, { join }) => {
        expect(applied(said)).toEqual(['one', 'two']);
        expect([join!.status, join!.attempt]).toEqual(['running', 1]);
        seen.add(join!.owner);
      },
      end: () => 'completed',
    },
  );
  expect(seen.size).toBe(2);
});

test('a completion that waits for another one: what it starts begins after what it waited for', async () => {
  await inEveryOrder(
    { first: noop(), a: noop(), b: noop(), join: noop(['first', 'a', 'b']) },
    {
      isWide: true,
      before: async (engines, execution) => {
        const { first } = await doors.steps(execution);
        await engines.one.deliver(execution, complete(first!));
        await handOver(engines, execution);
      },
      // The third engine does not know the execution: it begins its transaction, and then waits for the lock.
      events: ({ a, b }) => ({ one: complete(a!), three: complete(b!) }),
      holds: (said, { join }) => {
        expect(applied(said)).toEqual(['one', 'three']);
        expect(join!.status).toBe('running');
      },
      end: () => 'completed',
    },
  );
});

test('a timer that a commit sets after it waited for a lock counts from then, in its row and in its job', async () => {
  const firsts = new Set<string>();
  await inEveryOrder(
    { first: noop(), ...RETRIED },
    {
      isWide: true,
      events: ({ first, a }) => ({ one: complete(first!), three: fail(a!) }),
      holds: (said, { first, a }) => {
        expect(applied(said)).toEqual(['one', 'three']);
        firsts.add(first!.sequence < a!.sequence ? 'first' : 'a');
      },
      after: async ({ three }, execution) => {
        const { rows } = await doors.looker.query(
          `select a.resume_at >= f.completed_at + interval '1 hour' or a.sequence < f.sequence as row_waits,
                  j.start_after >= a.resume_at - interval '1 millisecond' as job_waits
             from workflow_step_executions f, workflow_step_executions a join pgboss.job j on j.id = a.id
            where f.workflow_execution_id = $1 and f.status = 'completed'
              and a.workflow_execution_id = $1 and a.status = 'retrying'`,
          [execution],
        );
        expect(rows).toEqual([{ row_waits: true, job_waits: true }]);
        await three.deliver(execution, CANCEL);
      },
      end: () => 'cancelled',
    },
  );
  expect(firsts).toEqual(new Set(['first', 'a']));
});

/** Step b goes from the first engine to the second. */
async function handOver(engines: Engines, execution: string): Promise<void> {
  const { two } = engines;
  await leaveReady(engines, execution);
  await two.deliver(execution, { type: 'reconsider' });
  expect((await doors.steps(execution)).b!.owner).toBe(two.capacity.owner);
}

test('two completions before a join, and a cancel: the join fires at most once and never after the cancel', async () => {
  await inEveryOrder(
    { a: noop(), b: noop(), join: noop(['a', 'b']) },
    {
      before: handOver,
      isWide: true,
      events: ({ a, b }) => ({ one: complete(a!), two: complete(b!), three: CANCEL }),
      holds: (said, { a, b, join }, status) => {
        expect([said.three, status, join!.status]).toEqual(['applied', 'cancelled', 'cancelled']);
        expect(a!.status).toBe(said.one === 'applied' ? 'completed' : 'cancelled');
        expect(b!.status).toBe(said.two === 'applied' ? 'completed' : 'cancelled');
      },
      end: () => 'cancelled',
    },
  );
});

test('a completion, the claim of a step that is ready, and a cancel: what was claimed is given up with the rest', async () => {
  const seen = new Set<string>();
  await inEveryOrder(
    { a: noop(), b: noop(), join: noop(['a', 'b']) },
    {
      isWide: true,
      before: leaveReady,
      events: ({ a, b }) => ({
        one: complete(a!),
        two: { type: 'claim', slot: b!.slot, owner: 'ffffffff-ffff-4fff-8fff-ffffffffffff' },
        three: CANCEL,
      }),
      holds: (said, { a, b, join }, status) => {
        expect([said.three, status]).toEqual(['applied', 'cancelled']);
        expect(a!.status).toBe(said.one === 'applied' ? 'completed' : 'cancelled');
        expect([b!.status, join!.status]).toEqual(['cancelled', 'cancelled']);
        expect(b!.attempt).toBe(said.two === 'applied' ? 1 : 0);
        seen.add(applied(said).join());
      },
      end: () => 'cancelled',
    },
  );
  expect(seen).toEqual(new Set(['three', 'one,three', 'three,two', 'one,three,two']));
});

/** Step b has no owner any more, and nobody takes it. */
async function leaveReady({ one }: Engines, execution: string): Promise<void> {
  const { b } = await doors.steps(execution);
  one.capacity.takes = false;
  await one.deliver(execution, { type: 'release', ...held(b!) });
  one.capacity.takes = true;
  expect((await doors.steps(execution)).b!.status).toBe('queued');
}

test('a completion and a rescue of the same claim: one counts, and a recovery overwrites no result', async () => {
  const seen = new Set<string>();
  await inEveryOrder(
    { a: noop(), b: noop(['a']) },
    {
      isWide: true,
      events: ({ a }) => ({ one: complete(a!), two: rescue(a!), three: rescue(a!) }),
      holds: (said, { a }) => {
        expect(applied(said)).toHaveLength(1);
        if (said.one === 'applied') expect([a!.status, a!.attempt]).toEqual(['completed', 1]);
        else expect([a!.status, a!.attempt]).toEqual(['running', 2]);
        seen.add(applied(said)[0]!);
      },
      end: () => 'completed',
    },
  );
  expect(seen).toEqual(new Set(NAMES));
});

test('the end of an execution and the rescue of its last step: what is final stays so', async () => {
  await inEveryOrder(
    { a: noop() },
    {
      events: ({ a }) => ({ one: complete(a!), two: rescue(a!) }),
      holds: (said, { a }, status) => {
        expect(applied(said)).toHaveLength(1);
        expect([status, a!.status]).toEqual(
          said.one === 'applied' ? ['completed', 'completed'] : ['running', 'running'],
        );
      },
      end: () => 'completed',
    },
  );
});

test("a failure that is to be retried and the execution's timeout: whichever is first, nothing is left waiting", async () => {
  const seen = new Set<string>();
  await inEveryOrder(RETRIED, {
    events: ({ a }) => ({ one: fail(a!), two: { type: 'time_out' } }),
    holds: (said, { a }, status) => {
      expect([said.two, status, a!.status]).toEqual(['applied', 'timed_out', 'cancelled']);
      seen.add(said.one);
    },
    end: () => 'timed_out',
  });
  expect(seen).toEqual(new Set(['applied', 'late']));
});

test('a retry that is due on two engines at once, and a cancel: the attempt is made at most once', async () => {
  const seen = new Set<string>();
  await inEveryOrder(RETRIED, {
    before: async ({ one }, execution) => {
      const { a } = await doors.steps(execution);
      await one.deliver(execution, fail(a!));
      expect((await doors.steps(execution)).a!.status).toBe('retrying');
    },
    isWide: true,
    events: ({ a }) => ({ one: wake(a!, 'resume'), two: wake(a!, 'resume'), three: CANCEL }),
    holds: (said, { a }, status) => {
      expect([said.three, status, a!.status]).toEqual(['applied', 'cancelled', 'cancelled']);
      expect(a!.attempt).toBe(applied({ one: said.one, two: said.two }).length + 1);
      seen.add(applied(said).join());
    },
    end: () => 'cancelled',
  });
  expect(seen).toEqual(new Set(['three', 'one,three', 'three,two']));
});

test('what a step waits for and its timeout: one of the two happens', async () => {
  const seen = new Set<string>();
  await inEveryOrder(
    { a: noop() },
    {
      before: async ({ one }, execution) => {
        const { a } = await doors.steps(execution);
        await one.deliver(execution, {
          type: 'park',
          ...held(a!),
          forMs: 3_600_000,
          state: null,
          timeoutMs: null,
          waitingFor: null,
        });
      },
      events: ({ a }) => ({ one: wake(a!, 'resume'), two: wake(a!, 'timeout') }),
      holds: (said, { a }) => {
        expect(applied(said)).toHaveLength(1);
        seen.add(a!.status);
      },
      end: ({ one }) => (one === 'applied' ? 'completed' : 'failed'),
    },
  );
  expect(seen.size).toBe(2);
});

test('what an engine remembers of an execution keeps it from no rescue: others may have gone on with it', async () => {
  const version = await doors.publish({ a: { type: 'noop' } });
  const schedule = new Schedule(doors.looker, []);
  const engines = ['dead', 'survivor', 'helper'].map(
    (name) => new OrderedEngine(name, doors, () => schedule, false),
  );
  const [dead, survivor, helper] = engines as [OrderedEngine, OrderedEngine, OrderedEngine];
  try {
    const execution = await doors.start(dead, version);
    const rescue = async () => ({ type: 'displace', ...held((await doors.steps(execution)).a!) }) as Event;
    const first = await rescue();
    // The survivor has looked at it, and was too late.
    expect(
      await survivor.deliver(execution, {
        ...first,
        claim: { attempt: 1, owner: helper.capacity.owner },
      } as Event),
    ).toBe('late');
    expect(await helper.deliver(execution, first)).toBe('applied');
    expect((await doors.steps(execution)).a).toMatchObject({
      status: 'running',
      attempt: 2,
      owner: helper.capacity.owner,
    });
    expect(await survivor.deliver(execution, await rescue())).toBe('applied');
    expect((await doors.steps(execution)).a).toMatchObject({ attempt: 3, owner: survivor.capacity.owner });
    expect(await survivor.deliver(execution, complete((await doors.steps(execution)).a!))).toBe('applied');
    expect(await doors.status(execution)).toBe('completed');
  } finally {
    await Promise.all(engines.map((engine) => engine.close()));
  }
});

test('afterwards every row is as it must be', () => assertInvariants(doors.url));
