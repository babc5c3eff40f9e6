/**
 * An engine whose processes of steps cannot start (a port that is taken, a licence that is used up) leaves the steps
 * that need one to others, and loses none of their attempts.
 */
import { expect, test } from 'bun:test';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';

let database: EngineDatabase;
let folder: string;
let broken: TestEngine;

const lock = () => join(folder, 'lock');

const fixture = fixtureForEach(async () => {
  database = await fixture.database();
  folder = await fixture.folder();
  await writeFile(lock(), '');
  const path = join(folder, 'steps.ts');
  const recording = pathToFileURL(join(import.meta.dir, '..', '..', 'support', 'steps', 'recording.ts')).href;
  // The engine reads what the types say of themselves; only the processes after it fail.
  await writeFile(
    path,
    `import { existsSync, writeFileSync } from 'node:fs';
import { recordingSteps } from ${JSON.stringify(recording)};
const loaded = ${JSON.stringify(join(folder, 'loaded'))};
if (existsSync(loaded) && existsSync(${JSON.stringify(lock())})) throw new Error('the port is taken');
writeFileSync(loaded, '');
export default recordingSteps(${JSON.stringify(database.url)}, 'broken');
`,
  );
  broken = await fixture.engine({ config: { EXECUTION_ENGINE_STEPS: path } });
});

const RECORD = {
  steps: { a: { type: 'noop' }, b: { type: 'record', needs: ['a'] }, c: { type: 'noop', needs: ['b'] } },
};

test('alone it goes on with everything else, and with these steps as soon as a process can start', async () => {
  const id = await broken.start(await broken.publish(RECORD));
  await database.until(
    `select count(*) > 0 from pgboss.job
      where data ->> 'execution_id' = $1 and data ->> 'kind' = 'step' and start_after > now()`,
    [id],
  );
  expect(stepOf(await broken.client.status(id), 'b')).toMatchObject({ status: 'queued', attempt_count: 0 });
  expect((await broken.run({ steps: { other: { type: 'noop' } } })).status).toBe('completed');
  await rm(lock());
  const end = await broken.end(id);
  expect([end.status, stepOf(end, 'b').attempt_count]).toEqual(['completed', 1]);
});

test('beside another engine its steps are run there, each in one attempt', async () => {
  const template = await broken.publish(RECORD);
  const ids = await Promise.all(Array.from({ length: 20 }, () => broken.start(template)));
  await fixture.engine({ name: 'able' });
  for (const id of ids) {
    const end = await broken.end(id);
    expect([end.status, stepOf(end, 'b').attempt_count]).toEqual(['completed', 1]);
  }
  expect((await database.runs()).map(({ engine }) => engine)).toEqual(Array(20).fill('able'));
});
