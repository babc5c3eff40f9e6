/**
 * Steps whose wait times out and is tried again: the deadline of each attempt takes the place of the one before.
 */
import { expect, test } from 'bun:test';
import type { TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let engine: TestEngine;

fixtureForAll(async (fixture) => {
  await fixture.database();
  engine = await fixture.engine();
});

test('a wait that times out again and again ends, however its deadlines meet the consumer of jobs', async () => {
  const never = {
    type: 'wait',
    with: { signal: 'never', timeout: '20ms' },
    retry: { limit: 2, delay: '1ms' },
  };
  const template = await engine.publish({ steps: { never } });
  for (let round = 0; round < 8; round++) {
    const ids = await Promise.all(Array.from({ length: 4 }, () => engine.start(template)));
    for (const id of ids) expect((await engine.end(id)).steps[0]).toMatchObject({ attempt_count: 3 });
  }
});
