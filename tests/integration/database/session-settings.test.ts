/**
 * Every session that a running engine holds has the settings that bound it, whoever made it: the pools, the lanes of
 * commits, the listener, the lease, pg-boss.
 *
 * They are read back in the engine's own connections (tests/support/faults/session-reader.ts).
 */
import { expect, test } from 'bun:test';
import { TEST_BACKEND } from '../../support/database/database.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { readSessions, type SessionReader, type Settings } from '../../support/faults/session-reader.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

/** As pg_settings has them: with their units. */
const EVERYWHERE: Settings = {
  TimeZone: 'UTC',
  default_transaction_isolation: 'read committed',
  idle_in_transaction_session_timeout: '5000ms',
  client_connection_check_interval: '1000ms',
  jit: 'off',
};
const USUAL = { statement_timeout: '15000ms', transaction_timeout: '30000ms', lock_timeout: '5000ms' };
const KEEPALIVES = {
  tcp_keepalives_idle: '5s',
  tcp_keepalives_interval: '2s',
  tcp_keepalives_count: '3',
};
/** A lease must be given up sooner. */
const SHORT_KEEPALIVES = {
  tcp_keepalives_idle: '2s',
  tcp_keepalives_interval: '1s',
  tcp_keepalives_count: '3',
};

/** By what comes after `engine/<id>/`. */
const WANTED: Readonly<Record<string, Settings>> = {
  api: { ...USUAL, ...KEEPALIVES, enable_seqscan: 'on' },
  work: { ...USUAL, ...KEEPALIVES, enable_seqscan: 'off' },
  pulse: { ...USUAL, ...SHORT_KEEPALIVES },
  commit: {
    ...USUAL,
    ...KEEPALIVES,
    statement_timeout: '5000ms',
    transaction_timeout: '10000ms',
    lock_timeout: '200ms',
    enable_seqscan: 'off',
  },
  retention: { ...USUAL, ...KEEPALIVES, enable_seqscan: 'off' },
  listen: { ...USUAL, ...KEEPALIVES },
  lease: { ...USUAL, ...SHORT_KEEPALIVES },
  queue: {
    statement_timeout: '300000ms',
    transaction_timeout: '600000ms',
    lock_timeout: '30000ms',
    ...KEEPALIVES,
  },
};
/** Not there for long: it makes an index, however long that takes. */
const PASSING: Readonly<Record<string, Settings>> = {
  index: { statement_timeout: '0ms', transaction_timeout: '0ms', lock_timeout: '5000ms', ...KEEPALIVES },
};

let database: EngineDatabase;
let reader: SessionReader;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  reader = await fixture.use(readSessions(database.url), (made) => made.close());
  engine = await fixture.engine({ url: reader.url, config: { EXECUTION_ENGINE_RETENTION: '30d' } });
});

// In portable mode nobody listens and there is no lease.
test.skipIf(TEST_BACKEND !== 'postgres')(
  'every session of a running engine is bounded, and says whose it is',
  async () => {
    // Work that every kind of connection has its part in.
    const steps = { a: { type: 'record' }, p: { type: 'parks', needs: ['a'], with: { ms: 10 } } };
    expect((await engine.run({ steps })).status).toBe('completed');
    await engine.client.listExecutions();
    // Its session makes its settings one by one.
    await database.until('select has_lease from execution_engines where id = $1', [engine.engine.id]);

    const names = ['application_name', ...Object.keys(EVERYWHERE), ...Object.keys(WANTED.work!)];
    const prefix = `engine/${engine.engine.id}/`;
    const seen = new Set<string>();
    while (Object.keys(WANTED).some((use) => !seen.has(use))) {
      for (const { application_name: name, ...settings } of await reader.read(names)) {
        // What the test's own step types write down with.
        if (name!.startsWith('test/')) continue;
        expect(name).toStartWith(prefix);
        const use = name!.slice(prefix.length);
        expect(Object.keys({ ...WANTED, ...PASSING })).toContain(use);
        expect({ use, ...settings }).toMatchObject({ use, ...EVERYWHERE, ...WANTED[use], ...PASSING[use] });
        seen.add(use);
      }
    }
    await assertInvariants(database.url);
  },
);
