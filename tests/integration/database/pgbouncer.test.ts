/**
 * Behind a PgBouncer in transaction mode, with and without a way past it. Skipped where none is installed.
 */
import { describe, expect, test } from 'bun:test';
import pg from 'pg';
import { checkServer } from '../../../db/connection/server-check.ts';
import type { EngineDatabase } from '../../support/engine.ts';
import { PGBOUNCER_VERSION, type PgBouncer, startPgBouncer } from '../../support/faults/pgbouncer.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';
import { takeOverFromKilled } from '../../support/killed-engine.ts';
import { startSideBySide } from '../../support/volume.ts';

/** Fewer than one engine has connections, so that they are lent from hand to hand. */
const SESSIONS = 6;
const MIXED = {
  steps: {
    a: { type: 'record' },
    f: { type: 'flaky', needs: ['a'], with: { failures: 1 }, retry: { limit: 2, delay: '10ms' } },
    p: { type: 'parks', needs: ['a'], with: { ms: 10 } },
    limited: { type: 'record', needs: ['a'], concurrency: { key: 'one', limit: 1 } },
    join: { type: 'record', needs: ['f', 'p', 'limited'] },
  },
};

describe.skipIf(PGBOUNCER_VERSION === null)(
  `behind ${PGBOUNCER_VERSION ?? 'PgBouncer (not installed)'}`,
  () => {
    let database: EngineDatabase;
    let bouncer: PgBouncer;

    const fixture = fixtureForAll(async () => {
      database = await fixture.database();
      const name = new URL(database.url).pathname.slice(1);
      await database.pool.query(`alter database ${name} set timezone = 'Asia/Kolkata'`);
      bouncer = await fixture.use(startPgBouncer(database.url, SESSIONS), (made) => made.close());
    });

    test('two engines run executions of every kind, and leave the sessions of the pooler as they were', async () => {
      const config = { EXECUTION_ENGINE_RETENTION: '30d' };
      const engines = [
        await fixture.engine({ url: bouncer.url, recordsUrl: database.url, name: 'one', config }),
        await fixture.engine({ url: bouncer.url, recordsUrl: database.url, name: 'two', config }),
      ];
      const ids = await Promise.all(engines.map((engine) => startSideBySide(engine, MIXED, 50)));
      for (const id of ids.flat()) {
        const end = await engines[1]!.end(id);
        expect(end).toMatchObject({ status: 'completed' });
      }
      const later = await engines[0]!.run(MIXED, { start_after: '100ms' });
      expect(later.status).toBe('completed');
      await assertInvariants(database.url);
      expect((await engines[0]!.client.examine()).unanswered).toEqual([]);
      await Promise.all(engines.map((engine) => engine.stop()));
      expect(await traces(bouncer.url)).toEqual(
        Array.from({ length: SESSIONS }, () => ({ set: [], prepared: 0 })),
      );
    });

    test('an engine that was killed is taken over by its heartbeat', async () => {
      const { status, attemptsOfLost } = await takeOverFromKilled(fixture, database, bouncer.url, {}, false);
      expect(status).toBe('completed');
      expect(new Set(attemptsOfLost)).toEqual(new Set([2]));
    });

    test('with a way past it engines hold their leases there', async () => {
      const config = { DATABASE_DIRECT_URL: database.url };
      await database.pool.query('delete from test_gates');
      const { status, attemptsOfLost } = await takeOverFromKilled(
        fixture,
        database,
        bouncer.url,
        config,
        true,
      );
      expect(status).toBe('completed');
      expect(new Set(attemptsOfLost)).toEqual(new Set([2]));
    });

    test('a direct URL that is none is named, and not used', async () => {
      const checked = await checkServer(bouncer.url, { directUrl: bouncer.url });
      expect(checked).toMatchObject({ isPooled: true, directUrl: null });
      expect(checked.warnings.join()).toContain('DATABASE_DIRECT_URL leads through a pooler');
    });
  },
);

/** What is left in each of the sessions that the pooler shares out: settings of the session, prepared statements. */
async function traces(url: string): Promise<{ set: string[]; prepared: number }[]> {
  const clients = Array.from({ length: SESSIONS }, () => new pg.Client({ connectionString: url }));
  try {
    // All of them are in a transaction at the same moment: nobody has the session of another.
    await Promise.all(
      clients.map(async (client) => {
        await client.connect();
        await client.query('begin');
        await client.query('select 1');
      }),
    );
    return await Promise.all(
      clients.map(async (client) => {
        const { rows } = await client.query(
          `select array(select name::text from pg_settings where source = 'session' and name not in
                          ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings')) as set,
                  (select count(*)::integer from pg_prepared_statements) as prepared`,
        );
        await client.query('rollback');
        return rows[0];
      }),
    );
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})));
  }
}
