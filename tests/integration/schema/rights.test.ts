/**
 * A database user who lacks rights: the refusal says which statements give them, and they do.
 */
import { expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { EngineDatabase } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { failureOf } from '../../support/http-peer.ts';

const id = randomBytes(4).toString('hex');
const [maker, user] = [`maker_${id}`, `user_${id}`];
let database: EngineDatabase;

const fixture = fixtureForAll(async () => {
  database = await fixture.database({ migrated: false });
  const { pool } = database;
  await pool.query(`
    create role ${maker} login password 'x';
    create role ${user} login password 'x';
    grant create on schema public to ${maker}`);
  await fixture.use(pool, async () => {
    await pool.query(
      `drop owned by ${maker} cascade; drop owned by ${user} cascade; drop role ${user}, ${maker}`,
    );
  });
});

const urlOf = (role: string) => Object.assign(new URL(database.url), { username: role, password: 'x' }).href;

async function engineOf(role: string) {
  const engine = await fixture.engine({ url: urlOf(role), recordsUrl: database.url, name: role });
  await engine.stop();
}

/** Runs the statements of an advice that begins with one of them, as an administrator does. */
async function obey(message: string, statement: RegExp): Promise<void> {
  const [found] = statement.exec(message) ?? [];
  if (found === undefined) throw new Error(`no ${statement} in: ${message}`);
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(found);
  await client.end();
}

test('one without rights on the database gets them by the statements of the refusal', async () => {
  const { message } = await failureOf(engineOf(maker));
  expect(message).toContain('lacks rights');
  await obey(message, /grant create on database .*;$/);
  await engineOf(maker);
});

test('one whose schema was made by another user is told whose it is, and what helps', async () => {
  await database.pool.query(`grant usage, create on schema public to ${user}`);
  const { message } = await failureOf(engineOf(user));
  expect(message).toContain('lacks rights');
  for (const part of [`belongs to the role "${maker}"`, 'connected to the database', 'do not suffice'])
    expect(message).toContain(part);
  await obey(message, /grant "maker_\w+" to "user_\w+";/);
  await engineOf(user);
});
