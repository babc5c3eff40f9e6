import { expect, test } from 'bun:test';
import { IdleWorkWatch } from './idle-work-watch.ts';

const NOTHING = { engines: 1, steps: [], executions: [] };
const WORK = { engines: 1, steps: [{ type: 'mail', count: 2 }], executions: [] };

test('the first look after a long time is shown at once, and is good for some seconds', async () => {
  let now = 0;
  let found: typeof NOTHING | typeof WORK = NOTHING;
  let looks = 0;
  const watch = new IdleWorkWatch(
    async () => {
      looks += 1;
      return found;
    },
    () => now,
  );
  expect(await watch.warnings()).toEqual([]);
  found = WORK;
  now = 2_000;
  expect(await watch.warnings()).toEqual([]);
  now = 84_000;
  const [warning] = await watch.warnings();
  expect(warning).toContain('No living engine has the step type "mail"');
  expect(looks).toBe(2);
});

test('a look that does not end is waited for for a moment, and there is one at a time', async () => {
  let now = 0;
  let looks = 0;
  const watch = new IdleWorkWatch(
    () => {
      looks += 1;
      return new Promise(() => {});
    },
    () => now,
  );
  expect(await Promise.all([watch.warnings(), watch.warnings()])).toEqual([[], []]);
  now = 60_000;
  expect(await watch.warnings()).toEqual([]);
  expect(looks).toBe(1);
});
