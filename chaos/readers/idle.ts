/**
 * Readers of executions in which nothing happens: the memory that they cost the engine, and the statements that it sends.
 */
import { spawnSync } from 'node:child_process';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createEngineClient } from '../../client/engine-client.ts';
import type { Pool } from '../../db/connection/client.ts';
import type { EngineProcess } from '../stage/engine-process.ts';

export interface IdleFigures {
  readonly readers: number;
  readonly memoryMb: { readonly before: number; readonly with: number };
  readonly transactionsPerSecond: { readonly before: number; readonly with: number };
}

/** The database counts what a session did when that is idle for a while. */
const SETTLING_MS = 40_000;
const AT_ONCE = 50;
const MAX_KEPT = 2_000;

export async function watchIdle(
  admin: Pool,
  engine: EngineProcess,
  readers: number,
  seconds: number,
): Promise<IdleFigures> {
  const client = createEngineClient({ url: engine.url! });
  const definition = { name: 'idle', steps: { hold: { type: 'wait', with: { signal: 'never' } } } };
  await client.publish(JSON.stringify(definition), 'application/json');
  const started = await client.startMany(Array.from({ length: readers }, () => ({ template: 'idle' })));
  await until(async () => {
    const { rows } = await admin.query(
      `select count(*)::int as n from workflow_step_executions where status = 'waiting'`,
    );
    return rows[0].n >= readers;
  });
  await sleep(SETTLING_MS);
  const rateBefore = await transactions(admin, seconds);
  const before = residentMb(engine.pid!);
  for (let from = 0; from < readers; from += AT_ONCE)
    await Promise.all(
      started
        .slice(from, from + AT_ONCE)
        .map(({ execution_id: id }) => follow(`${engine.url}/api/v1/execution/events?execution_id=${id}`)),
    );
  await sleep(SETTLING_MS);
  const rateWith = await transactions(admin, seconds);
  const memory = residentMb(engine.pid!);
  return {
    readers,
    memoryMb: { before, with: memory },
    transactionsPerSecond: { before: rateBefore, with: rateWith },
  };
}

/** Resolves when the stream has told that the step waits, and leaves it open. By a socket of its own: `fetch` takes 256 at a time. */
function follow(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text = (text + chunk).slice(-MAX_KEPT);
        if (text.includes('"to":"waiting"')) resolve();
      });
    }).on('error', reject);
  });
}

/** The transactions of the database in a second, without those that count them. */
async function transactions(admin: Pool, seconds: number): Promise<number> {
  const count = async () => {
    const { rows } = await admin.query(
      `select (xact_commit + xact_rollback)::int as n from pg_stat_database where datname = current_database()`,
    );
    return Number(rows[0].n);
  };
  const from = await count();
  await sleep(seconds * 1_000);
  return ((await count()) - from - 1) / seconds;
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await sleep(200);
}

function residentMb(pid: number): number {
  const { stdout } = spawnSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' });
  return Number(stdout) / 1_024;
}
