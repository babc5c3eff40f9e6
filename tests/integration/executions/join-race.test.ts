/**
 * Joins under simultaneous completion, on two processes. 200 races in a row with EXECUTION_ENGINE_HEAVY=1.
 */
import { expect, test } from 'bun:test';
import { IN_FULL } from '../../support/core/size.ts';
import type { EngineDatabase, EngineProcess } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { FAIR_RACE, race, raceDefinition, startRaceEngines } from '../../support/join-race.ts';

const RACES = IN_FULL ? 200 : 6;

let database: EngineDatabase;
let engines: readonly [EngineProcess, EngineProcess];

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engines = await startRaceEngines(fixture);
});

test('a join of 500 that complete at the same moment on two engines fires exactly once, every time', async () => {
  const [one, two] = engines;
  const template = await one.publish(raceDefinition());
  const begun = performance.now();
  for (let at = 0; at < RACES; at += 1) {
    const result = await race(database, at % 2 === 0 ? one : two, template, `race-${at}`);
    expect(result).toEqual(FAIR_RACE);
  }
  if (IN_FULL) {
    const { rows } = await database.pool.query(
      'select deadlocks from pg_stat_database where datname = current_database()',
    );
    const seconds = (performance.now() - begun) / 1000;
    console.log(`${RACES} races: ${seconds.toFixed(1)} s, ${rows[0].deadlocks} deadlocks`);
  }
}, 1_200_000);

test('a join of any of them fires exactly once as well, and the late ones are recorded', async () => {
  const [one, two] = engines;
  const template = await two.publish(raceDefinition({ join: 'any' }));
  for (let at = 0; at < 3; at += 1) {
    expect(await race(database, at % 2 === 0 ? one : two, template, `any-${at}`)).toEqual(FAIR_RACE);
  }
});
