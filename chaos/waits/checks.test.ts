/** The judge of signals: a wait that completed was ended by one, and no other wait by any. */
import { expect, test } from 'bun:test';
import { fixtureForEach } from '../../tests/support/fixture.ts';
import { SIGNAL_CHECKS } from './checks.ts';

const fixture = fixtureForEach();
const [TEXT] = Object.values(SIGNAL_CHECKS);

test('a wait that two signals ended, or none, is found', async () => {
  const { pool } = await fixture.database();
  const engine = await fixture.engine();
  const steps = { w: { type: 'wait', with: { signal: 'go' } } };
  const id = await engine.start(await engine.publish({ steps }));
  await pool.query(`select workflow_signal($1, 'go', '1')`, [id]);
  await engine.end(id);
  expect((await pool.query(TEXT!)).rows).toEqual([]);
  const found = async () => (await pool.query(TEXT!)).rows.map(({ execution_id }) => execution_id);
  const copy = `insert into workflow_signals (workflow_execution_id, name, payload_hash, used_at, step_execution_id)
                select workflow_execution_id, name, payload_hash, used_at, step_execution_id from workflow_signals limit 1`;
  await pool.query(copy);
  expect(await found()).toEqual([id]);
  await pool.query('delete from workflow_signals');
  expect(await found()).toEqual([id]);
});
