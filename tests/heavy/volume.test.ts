/**
 * The full figures of volume: 100 executions of 1,000 steps side by side, 100,000 recorded handler runs.
 *
 * Takes minutes: runs with EXECUTION_ENGINE_HEAVY=1 only.
 */
import { describe, expect, test } from 'bun:test';
import { IN_FULL } from '../support/core/size.ts';
import type { EngineDatabase, TestEngine } from '../support/engine.ts';
import { fixtureForAll } from '../support/fixture.ts';
import { countRuns, startSideBySide } from '../support/volume.ts';
import { chainsSideBySide } from '../support/wide-definition.ts';

describe.skipIf(!IN_FULL)('in full', () => {
  let database: EngineDatabase;
  let engine: TestEngine;

  fixtureForAll(async (fixture) => {
    database = await fixture.database();
    engine = await fixture.engine();
  });

  test('100 executions of 1,001 steps side by side complete with no step run twice', async () => {
    const begun = performance.now();
    const ids = await startSideBySide(engine, chainsSideBySide(100, 10, 'record'), 100);
    const ends = await Promise.all(ids.map((id) => engine.end(id)));
    const seconds = (performance.now() - begun) / 1000;
    console.log(
      `100 executions of 1,001 steps: ${seconds.toFixed(1)} s, ${Math.round(100_100 / seconds)} steps/s`,
    );
    expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['completed']));
    expect(await countRuns(database, ids)).toEqual({ runs: 100_100, steps: 100_100 });
  });
});
