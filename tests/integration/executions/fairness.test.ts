/**
 * Nobody starves: however much one workspace or one execution has ready, a step of another begins after a few.
 *
 * Starving is told by order, never by time: counted are the steps that begin between the moment another
 * execution was accepted and the beginning of its one step. A few times the slots is fair; thousands are not.
 */
import { describe, expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { sized } from '../../support/core/size.ts';
import { type EngineCalls, type EngineDatabase, engineCalls, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { type TurnPlace, type Turns, turnPlace } from '../../support/steps/turns.ts';

const QUEUED = sized(800, 2_000);
/** Steps that may begin before the other's: so many times the slots. */
const TIMES_SLOTS = 4;

const BUSY = { key: 'key-of-the-busy-workspace', id: 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa' };
const OPERATOR = 'key-of-the-operator';
const OTHER = { key: 'key-of-the-other-workspace', id: 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb' };

/** So many steps side by side. */
function sideBySide(width: number, place: string): JsonObject {
  const step = { type: 'turn', with: { place } };
  return { steps: Object.fromEntries(Array.from({ length: width }, (_, at) => [`s${at}`, step])) };
}

/** Two steps, one after the other. */
function inARow(place: string): JsonObject {
  const step = { type: 'turn', with: { place } };
  return { steps: { s0: step, s1: { ...step, needs: ['s0'] } } };
}

/** Slots, and the width of the wide execution. */
const SIZES = [
  [4, sized(300, 1_000)],
  [100, sized(1_500, 10_000)],
] as const;

for (const [slots, width] of SIZES) {
  describe(`with ${slots} slots and an execution ${width} wide`, () => {
    const few = TIMES_SLOTS * slots;
    /** Once there are several workspaces, one of them does not get all slots. */
    const most = slots < 8 ? slots : Math.floor((7 * slots) / 8);
    let database: EngineDatabase;
    let engine: TestEngine;
    let busy: EngineCalls;
    let other: EngineCalls;
    let place: TurnPlace;
    let turns: Turns;
    const templates = { wide: '', single: '', ofOther: '', chainOfOther: '' };

    fixtureForAll(async (fixture) => {
      place = await fixture.use(turnPlace(), (made) => made.close());
      database = await fixture.database();
      engine = await fixture.engine({
        config: {
          EXECUTION_ENGINE_CONCURRENCY: String(slots),
          EXECUTION_ENGINE_API_KEYS: [
            `${OPERATOR}=admin`,
            ...[BUSY, OTHER].map(({ key, id }) => `${key}=${id}`),
          ].join(),
        },
        token: OPERATOR,
      });
      busy = engineCalls(engine.url, BUSY.key);
      other = engineCalls(engine.url, OTHER.key);
      templates.wide = await busy.publish(sideBySide(width, place.url));
      templates.single = await busy.publish(sideBySide(1, place.url));
      templates.ofOther = await other.publish(sideBySide(1, place.url));
      templates.chainOfOther = await other.publish(inARow(place.url));
    });

    /** Lets one run after the other end, and counts those that begin before a step of the execution. */
    const beginningsBefore = async (executionId: string, step = 's0') => {
      const accepted = turns.begun.length;
      while (turns.placeOf(executionId, step) < 0 && turns.begun.length - accepted <= few) {
        const next = turns.begun.length + 1;
        turns.releaseOne();
        await turns.reached(next);
      }
      const found = turns.placeOf(executionId, step);
      return found < 0 ? Number.POSITIVE_INFINITY : Math.max(0, found - accepted);
    };

    /** The rest of wide executions need not run to its end. */
    const cancelWide = async () => {
      const { rows } = await database.pool.query(
        `select e.id from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
          where t.name = $1 and e.completed_at is null`,
        [templates.wide],
      );
      for (const { id } of rows) await engine.client.cancel(id);
    };

    /** Runs a test's work, then lets everything end: what one test leaves behind must not meet the next. */
    const fairly = async (open: boolean, work: () => Promise<void>) => {
      turns = place.open({ open });
      try {
        await work();
      } finally {
        await cancelWide();
        turns.releaseAll();
        await database.until(
          'select not exists (select 1 from workflow_executions where completed_at is null)',
        );
      }
    };

    test(`${QUEUED} queued executions of a workspace do not starve the only one of another`, () =>
      fairly(false, async () => {
        const items = Array.from({ length: QUEUED / 2 }, () => ({ template: templates.single }));
        await Promise.all([busy.client.startMany(items), busy.client.startMany(items)]);
        await turns.reached(most);
        expect(await beginningsBefore(await other.start(templates.ofOther))).toBeLessThanOrEqual(few);
      }));

    test('a wide execution does not starve the next step of another workspace', () =>
      fairly(false, async () => {
        const id = await other.start(templates.chainOfOther);
        await turns.reached(1);
        await busy.start(templates.wide);
        await turns.reached(most);
        expect(await beginningsBefore(id, 's1')).toBeLessThanOrEqual(few);
      }));

    test('a wide execution does not starve the one step of another workspace', () =>
      fairly(false, async () => {
        await busy.start(templates.wide);
        await turns.reached(most);
        expect(await beginningsBefore(await other.start(templates.ofOther))).toBeLessThanOrEqual(few);
      }));

    test('nor does it when its handlers end at once', () =>
      fairly(true, async () => {
        await busy.start(templates.wide);
        await turns.reached(1);
        const id = await other.start(templates.ofOther);
        const accepted = turns.begun.length;
        expect((await other.end(id)).status).toBe('completed');
        // How many begin until it is fetched is for the database to say; a starved one begins after all of them.
        expect(turns.placeOf(id, 's0') - accepted).toBeLessThan(width / 2);
      }));
  });
}
