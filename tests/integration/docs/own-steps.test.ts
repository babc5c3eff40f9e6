/** The example of step types as a newcomer takes it: copied to a folder outside the engine's, checked, and run there. */
import { expect, test } from 'bun:test';
import { cpSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { stepOf } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';
import { httpPeer } from '../../support/http-peer.ts';

const ROOT = join(import.meta.dir, '..', '..', '..');
const fixture = fixtureForEach();

async function copied(): Promise<string> {
  const folder = await fixture.folder();
  cpSync(join(ROOT, 'examples', 'own-steps'), folder, { recursive: true });
  return folder;
}

/** What a command writes, and whether it went well. */
async function output(command: readonly string[], cwd: string): Promise<[written: string, code: number]> {
  const child = Bun.spawn([...command], { cwd, stdout: 'pipe', stderr: 'pipe' });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return [out + err, code];
}

const inputs = (folder: string, webhook: string) => ({
  list: readFileSync(join(folder, 'stock.csv'), 'utf8'),
  webhook,
});

test('the copied folder runs without any installation, and its workflow does what it says', async () => {
  const folder = await copied();
  const bodies: string[] = [];
  let calls = 0;
  const peer = await fixture.use(
    httpPeer(async (request, response) => {
      bodies.push(await text(request));
      calls += 1;
      response.writeHead(calls === 1 ? 503 : 200).end();
    }),
  );
  await fixture.database();
  const engine = await fixture.engineProcess({
    config: { EXECUTION_ENGINE_STEPS: `${join(folder, 'csv.ts')},${join(folder, 'chat-message.ts')}` },
  });
  await engine.client.publish(readFileSync(join(folder, 'workflow.yaml'), 'utf8'), 'application/yaml');
  const run = async (given: object) =>
    engine.end(await engine.start('stock-report', { inputs: { ...inputs(folder, peer.origin), ...given } }));

  const execution = await run({});
  expect([execution.status, execution.error]).toEqual(['completed', null]);
  expect(execution.outputs).toEqual([
    { name: 'Bolts; M6', left: '4' },
    { name: 'Nuts', left: '7' },
  ]);
  // The refused call was tried again, since its StepFailure said so: it is the class that the engine knows.
  expect(stepOf(execution, 'tell').attempt_count).toBe(2);
  expect(bodies).toEqual(Array(2).fill('{"text":"@purchase Running out: Bolts; M6, Nuts"}'));

  const uneven = await run({ list: 'name;left\nNuts' });
  expect([uneven.status, uneven.error?.code]).toEqual(['failed', 'csv_uneven']);

  const published = await engine.request('POST', '/api/v1/templates/validate', {
    name: 'wrong',
    steps: { read: { type: 'csv', with: { txt: '' } } },
  });
  expect(JSON.stringify(published.body)).toContain('Did you mean \\"text\\"?');
});

test('the copied folder passes its check with the engine linked as a package, and a wrong name does not', async () => {
  const folder = await copied();
  const install = ['npm', 'install', '--offline', '--silent', '--no-audit', '--save-dev', ROOT];
  expect(await output(install, folder)).toEqual(['', 0]);
  const check = () => output([join(ROOT, 'node_modules', '.bin', 'tsc'), '--noEmit'], folder);
  expect(await check()).toEqual(['', 0]);
  const source = readFileSync(join(folder, 'csv.ts'), 'utf8');
  await writeFile(
    join(folder, 'csv.ts'),
    source.replace('params: { text, separator', 'params: { txt, separator'),
  );
  const [written, code] = await check();
  expect(code).not.toBe(0);
  expect(written).toContain("csv.ts(18,19): error TS2339: Property 'txt' does not exist");
  await rm(join(folder, 'node_modules'), { recursive: true });
});
