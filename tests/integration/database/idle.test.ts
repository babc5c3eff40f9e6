/**
 * An engine with nothing to do leaves its database alone but for a heartbeat.
 *
 * Every statement is counted where it passes, on all connections: the pools, the listener, pg-boss. Time is told
 * by the engine's own heartbeats, as the database dates them.
 */
import { expect, test } from 'bun:test';
import { afterBeats, lastBeat } from '../../support/database/heartbeats.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { countStatements, type StatementCount } from '../../support/faults/statement-count.ts';
import { fixtureForEach } from '../../support/fixture.ts';

const MAX_PER_SECOND = 3;
/** Until what follows the work is over. */
const BEATS_BEFORE = 3;
/** Long enough for the look that is taken at every tenth beat only. */
const BEATS = 11;

let database: EngineDatabase;
let counted: StatementCount;
let engine: TestEngine;

const fixture = fixtureForEach(
  async (fixture) => {
    database = await fixture.database();
    counted = await fixture.use(countStatements(database.url), (counter) => counter.close());
    engine = await fixture.engine({ url: counted.url });
  },
  { allFinal: false },
);

test('an engine that has worked and has nothing left to do sends fewer than 3 statements a second', async () => {
  const template = await engine.publish({
    steps: {
      a: { type: 'record' },
      f: { type: 'flaky', needs: ['a'], with: { failures: 1 }, retry: { limit: 1, delay: '10ms' } },
      p: { type: 'parks', needs: ['a'], with: { ms: 10 } },
      end: { type: 'record', needs: ['f', 'p'] },
    },
  });
  const items = Array.from({ length: 300 }, () => ({ template }));
  const started = await engine.client.startMany(items);
  await Promise.all(started.map(({ execution_id }) => engine.end(execution_id)));

  const from = await afterBeats(database, engine.engine.id, BEATS_BEFORE);
  const before = counted.byVerb();
  const to = await afterBeats(database, engine.engine.id, BEATS);
  const verbs = difference(counted.byVerb(), before);
  const statements = Object.values(verbs).reduce((sum, count) => sum + count, 0);
  expect(statements, 'every heartbeat is counted').toBeGreaterThanOrEqual(BEATS);
  expect(statements / (to - from), JSON.stringify(verbs)).toBeLessThan(MAX_PER_SECOND);
});

test('what ends on one engine costs its peers nothing, unless somebody waits for it there', async () => {
  const busy = await fixture.engine();
  const peer = await fixture.engine({ url: counted.url, config: { EXECUTION_ENGINE_ROLE: 'api' } });
  // Both know of each other.
  await afterBeats(database, peer.engine.id, 2);
  const template = await busy.publish({ steps: { a: { type: 'record' } } });
  await engine.stop();
  const from = await lastBeat(database, peer.engine.id);
  const before = counted.byVerb();
  const executions = 200;
  for (let at = 0; at < executions; at += 1) await busy.end(await busy.start(template));
  const statements = Object.values(difference(counted.byVerb(), before)).reduce((sum, n) => sum + n, 0);
  const seconds = (await lastBeat(database, peer.engine.id)) - from;
  expect(statements).toBeLessThan(executions / 2 + MAX_PER_SECOND * seconds);
  const waited = await busy.start(template);
  expect((await peer.end(waited)).status).toBe('completed');
});

function difference(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after)
      .map(([verb, count]) => [verb, count - (before[verb] ?? 0)] as const)
      .filter(([, count]) => count > 0),
  );
}
