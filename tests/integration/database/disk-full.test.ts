/**
 * The database's disc is full: an engine says so, stays, and finishes everything when there is room again.
 *
 * The server is the test's own, on a disc of its own, and durable as in production. It may end itself when it cannot
 * write its log: then the test starts it again when there is room, as whoever runs it would.
 */
import { expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { ChaosPostgres } from '../../../chaos/stage/postgres.ts';
import type { TestEngine } from '../../support/engine.ts';
import { mountSmallDisk, type SmallDisk } from '../../support/faults/small-disk.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { RECORDS } from '../../support/steps/recorder.ts';
import { until } from '../../support/until.ts';

const MEGABYTE = 1024 * 1024;
/** Enough to begin with, and soon full. */
const SETTINGS = {
  shared_buffers: '16MB',
  max_connections: '60',
  max_wal_size: '32MB',
  min_wal_size: '32MB',
  autovacuum: 'off',
};

const disk: SmallDisk | null = mountSmallDisk(160 * MEGABYTE);
let postgres: ChaosPostgres;
let engine: TestEngine;
let looker: pg.Pool;

fixtureForAll(async (fixture) => {
  if (disk === null) return;
  await fixture.use(disk, ({ remove }) => remove());
  postgres = await fixture.use(ChaosPostgres.start(disk.folder, SETTINGS), (server) => server.stop());
  looker = await fixture.use(new pg.Pool({ connectionString: postgres.url, max: 2 }), (pool) => pool.end());
  looker.on('error', () => {});
  await looker.query(RECORDS);
  fixture.adopt(postgres.url);
  engine = await fixture.engine();
  // The first to go: nothing stops on a full disc.
  await fixture.use(disk, ({ free }) => free());
});

test.skipIf(disk === null)(
  'a full disc refuses starts with 503, and nothing that was accepted is lost when there is room again',
  async () => {
    const template = await engine.publish({
      steps: {
        wait: { type: 'delay', with: { for: '200ms' } },
        big: { type: 'transform', needs: ['wait'], with: { value: '${{ input.text }}' } },
        end: { type: 'transform', needs: ['big'], with: { value: '${{ input.n }}' } },
      },
    });
    const accepted: { id: string; n: number }[] = [];
    const start = async (n: number, keyed = true) => {
      const body = {
        template,
        inputs: { n, text: randomUUID().repeat(2_000) },
        ...(keyed ? { idempotency_key: `key-${n}` } : {}),
      };
      const { status, body: answer } = await engine.request('POST', '/api/v1/execution/start', body);
      if (status === 202 || status === 201) accepted.push({ id: String(answer.execution_id), n });
      return [status, answer.code];
    };

    for (let n = 0; n < 20; n += 1) await start(n);
    await disk!.fill();
    let n = 20;
    for (let refused = 0; refused < 5; n += 1) {
      const [status, code] = await start(n);
      if (status === 202 || status === 201) continue;
      expect([status, code]).toEqual([503, 'unavailable']);
      refused += 1;
      await disk!.fill();
    }
    expect(accepted.length).toBeGreaterThan(0);
    // Starts without a key are tried again and again before they are refused: meanwhile something waits to be written.
    let asking = 0;
    while ((await engine.request('GET', '/health/ready')).status !== 503) {
      if (asking === 0) await disk!.fill();
      for (; asking < 3; asking += 1, n += 1)
        start(n, false).finally(() => {
          asking -= 1;
        });
      await until(() => asking < 3);
    }
    expect((await engine.request('GET', '/health/live')).status).toBe(200);

    await disk!.free();
    await postgres.start();
    await until(() => asking === 0);
    // It may have been about to go down when it was found running.
    await until(async () => {
      await postgres.start();
      return (await engine.request('GET', '/health/ready')).status === 200;
    });
    for (const { id, n: expected } of accepted) {
      const { status, outputs } = await engine.end(id);
      expect([status, outputs]).toEqual(['completed', { end: expected }]);
    }
    // A start whose refusal was no more than an answer that was lost is found by its key.
    for (let again = n - 5; again < n + 5; again += 1) expect((await start(again))[0]).toBeLessThan(300);
    for (const { id } of accepted) expect((await engine.end(id)).status).toBe('completed');
    const left = 'select count(*)::integer as count from workflow_executions where completed_at is null';
    await until(async () => (await looker.query(left)).rows[0].count === 0);
  },
);
