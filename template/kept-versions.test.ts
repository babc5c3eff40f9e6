import { heapStats } from 'bun:jsc';
import { expect, test } from 'bun:test';
import type { Json, JsonObject } from '../core/json/json.ts';
import { listSteps } from '../core/scopes/step-list.ts';
import { readDefinition } from '../definition/definition.ts';
import { createStepTypes } from '../steps/registry.ts';
import { withHolders } from '../tests/definition/reading.ts';
import { sized } from '../tests/support/core/size.ts';
import { holding } from '../tests/support/steps/holding.ts';
import { compileVersion } from './compile.ts';
import { compileContext } from './context.ts';
import { KeptVersions } from './kept-versions.ts';
import type { TemplateVersion } from './version.ts';
import { weightOf } from './weight.ts';

const stepTypes = createStepTypes({
  http: { allow: [], maxResponseBytes: 1_000_000, timeoutMs: 30_000 },
  script: { timeoutMs: 5_000, memoryBytes: 32 * 2 ** 20 },
  extra: holding,
});

const compiler = compileContext(withHolders, stepTypes);

function versionOf(id: string, definition: JsonObject): TemplateVersion {
  const { template } = readDefinition(definition, withHolders);
  const steps = listSteps(template!.steps).map(({ path }) => ({ id: `${id}-${path}`, key: path, type: '' }));
  const at = new Date(0);
  const stored = { id, name: 'x', version: 1, workspaceId: null, description: null, definition, steps };
  const row = {
    ...stored,
    source: JSON.stringify(definition),
    definitionHash: '',
    createdAt: at,
    archivedAt: null,
  };
  const compiling = compileVersion(row, compiler.judge(definition), compiler);
  for (;;) {
    const { done, value } = compiling.next();
    if (done) return value;
  }
}

function definitionOf(count: number, step: (at: number) => Json): JsonObject {
  return {
    name: 'x',
    steps: Object.fromEntries(Array.from({ length: count }, (_, at) => [`s${at}`, step(at)])),
  };
}

const small = (id: string) =>
  versionOf(
    id,
    definitionOf(2, () => ({ type: 'noop' })),
  );

test('what was not asked for the longest is forgotten when there is too much', () => {
  const each = weightOf(small('a'));
  const kept = new KeptVersions(3 * each);
  for (const id of ['a', 'b', 'c']) kept.add(small(id));
  kept.get('a');
  kept.add(small('d'));
  expect(['a', 'b', 'c', 'd'].filter((id) => kept.get(id) !== undefined)).toEqual(['a', 'c', 'd']);
  expect(kept.bytes).toBe(3 * each);
});

test('a version counts once, however often it is added', () => {
  const kept = new KeptVersions(1_000_000);
  for (let round = 0; round < 3; round += 1) kept.add(small('a'));
  expect([kept.size, kept.bytes]).toEqual([1, weightOf(small('a'))]);
});

test('one that is larger than all there is room for is kept alone', () => {
  const kept = new KeptVersions(1);
  kept.add(small('a'));
  kept.add(small('b'));
  expect([kept.size, kept.get('b')?.id]).toEqual([1, 'b']);
});

const SHAPES: Readonly<Record<string, (at: number) => Json>> = {
  'steps alone': (at) => ({ type: 'noop', ...(at > 0 ? { needs: [`s${at - 1}`] } : {}) }),
  edges: (at) => ({
    type: 'merge',
    needs: Array.from({ length: Math.min(at, 20) }, (_, back) => `s${at - 1 - back}`),
  }),
  expressions: (at) => ({
    type: 'transform',
    with: { value: [`\${{ input.a + ${at} }}`, '${{ input.b.c }}'] },
  }),
  'long expressions': () => ({
    type: 'transform',
    with: { value: `\${{ ${'input.abc + '.repeat(40)} 1 }}` },
  }),
  data: () => ({ type: 'transform', with: { value: Array.from({ length: 60 }, (_, at) => ({ at })) } }),
  text: (at) => ({ type: 'log', with: { message: `${at}`.repeat(300) } }),
  scopes: (at) => ({
    type: 'each',
    with: {
      items: [at],
      steps: { a: { type: 'noop' }, b: { type: 'transform', needs: ['a'], with: { value: `${at}` } } },
      output: '${{ steps.b.output }}',
    },
  }),
  limits: () => ({
    type: 'noop',
    when: '${{ input.x }}',
    concurrency: { key: 'a ${{ input.x }}', limit: 3 },
  }),
};

for (const [name, step] of Object.entries(SHAPES)) {
  test(`the weight of a version says what memory it keeps, within a factor of two: ${name}`, async () => {
    // The parts of a definition are of its own, as when it was read from the database.
    const text = JSON.stringify(definitionOf(sized(400, 1_500), step));
    versionOf('first', JSON.parse(text));
    const before = await heapBytes();
    const kept = [1, 2, 3, 4].map((at) => versionOf(`v${at}`, JSON.parse(text)));
    const measured = ((await heapBytes()) - before) / kept.length;
    expect(measured).toBeLessThan(weightOf(kept[0]!) * 2);
  });
}

async function heapBytes(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    Bun.gc(true);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}
