/**
 * The client as people get it: packed, installed into an empty project, type-checked there, and run before an engine.
 */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import clientPackage from '../../../client/package.json' with { type: 'json' };
import packageJson from '../../../package.json' with { type: 'json' };
import type { TestEngine } from '../../support/engine.ts';
import { type Fixture, fixtureForAll } from '../../support/fixture.ts';

const ROOT = join(import.meta.dir, '..', '..', '..');
const MAX_PACKED_BYTES = 60_000;
const SETTINGS = {
  compilerOptions: { module: 'NodeNext', target: 'ES2022', lib: ['ES2022', 'DOM'], strict: true, types: [] },
  files: ['program.ts'],
};

let project: string;
let engine: TestEngine;
let packed: { size: number; filename: string; files: { path: string }[] };

const setUp = async (fixture: Fixture) => {
  project = await fixture.folder();
  await fixture.database();
  engine = await fixture.engine();
  await writeFile(join(project, 'package.json'), '{"private":true,"type":"module"}');
  const list = await output(
    ['npm', 'pack', '--json', '--silent', '--pack-destination', project],
    join(ROOT, 'client'),
  );
  [packed] = JSON.parse(list) as [typeof packed];
  await output(['npm', 'install', '--offline', '--silent', `./${packed.filename}`], project);
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify(SETTINGS));
};

fixtureForAll(setUp, { allFinal: false });

/** What a command writes; throws with all of it when the command fails. */
async function output(command: readonly string[], cwd: string): Promise<string> {
  const child = Bun.spawn([...command], { cwd, stdout: 'pipe', stderr: 'pipe' });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${out}${err}`);
  return out;
}

/** The first program of docs/client.md, and what it writes. */
function documented(): { program: string; written: string } {
  const page = readFileSync(join(ROOT, 'docs', 'client.md'), 'utf8');
  const [, program, written] = /```ts\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/.exec(page)!;
  return { program: program!.replace('http://localhost:3020', engine.url), written: written! };
}

describe('the package of the client', () => {
  test('has JavaScript, types, a licence and a word about itself, in a few kilobytes and without dependencies', () => {
    const paths = packed.files.map(({ path }) => path);
    expect(paths.filter((path) => !/^dist\/.*\.(js|d\.ts)$/.test(path)).sort()).toEqual([
      'LICENSE',
      'README.md',
      'package.json',
    ]);
    expect(paths.filter((path) => path.endsWith('.js')).map((path) => dirname(path))).not.toContain(
      'dist/core',
    );
    expect(packed.size).toBeLessThan(MAX_PACKED_BYTES);
    expect(Object.keys(clientPackage).filter((name) => /dependencies/i.test(name))).toEqual([]);
    expect(clientPackage.version).toBe(packageJson.version);
  });

  test('passes the strictest check of a project that knows nothing else, and runs there', async () => {
    const { program, written } = documented();
    await writeFile(join(project, 'program.ts'), program);
    await output([join(ROOT, 'node_modules', '.bin', 'tsc'), '-p', '.'], project);
    const runtimes = [Bun.which('node'), process.env.EXECUTION_ENGINE_TEST_RUNTIME, process.execPath];
    for (const runtime of new Set(runtimes.filter((path) => path != null))) {
      expect([runtime, await output([runtime, 'program.js'], project)]).toEqual([runtime, written]);
    }
  });

  test('has types that say no', async () => {
    const wrong = `import { createEngineClient } from 'execution-engine-client';
const engine = createEngineClient({ url: 'http://localhost:3020' });
const { status } = await engine.start({ template: 7 });
status.nothing;
`;
    await writeFile(join(project, 'program.ts'), wrong);
    const checking = output([join(ROOT, 'node_modules', '.bin', 'tsc'), '-p', '.', '--noEmit'], project);
    const { message } = (await checking.catch((error: unknown) => error)) as Error;
    expect(message.match(/program\.ts\(\d+/g)).toEqual(['program.ts(3', 'program.ts(4']);
  });
});

test('the package of the engine has what the engine imports, and neither tests nor anything large', async () => {
  const list = await output(['npm', 'pack', '--dry-run', '--json', '--silent'], ROOT);
  const [{ size, files }] = JSON.parse(list) as [{ size: number; files: { path: string }[] }];
  const paths = new Set(files.map(({ path }) => path));
  expect([...paths].filter((path) => /\.test\.|^(tests|bench|chaos|node_modules)\//.test(path))).toEqual([]);
  expect(size).toBeLessThan(2_000_000);
  const missing = [...paths]
    .filter((path) => /\.(ts|mjs)$/.test(path))
    .flatMap((path) =>
      [
        ...readFileSync(join(ROOT, path), 'utf8').matchAll(
          /(?:from|import\() ?'(\.[^']+)'|new URL\('(\.[^']+)'/g,
        ),
      ]
        .map(([, imported, located]) => normalize(join(dirname(path), imported ?? located!)))
        .filter((target) => /\.\w+$/.test(target) && !paths.has(target))
        .map((target) => `${path} needs ${target}`),
    );
  expect(missing).toEqual([]);
  expect(paths).toContain('execution-engine.ts');
});
