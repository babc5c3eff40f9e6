/**
 * The rows of a published definition whose steps hold steps.
 */
import { expect, test } from 'bun:test';
import { createPool, type Pool } from '../../../db/connection/client.ts';
import { featuresOf } from '../../../db/connection/features.ts';
import { readTemplateById } from '../../../db/workflow-template.ts';
import type { Caller } from '../../../services/caller.ts';
import { TemplateService } from '../../../services/template-service.ts';
import type { StepType } from '../../../steps/step-type.ts';
import { compileContext } from '../../../template/context.ts';
import { readNow } from '../../../template/definition-reader.ts';
import { TemplateVersions } from '../../../template/versions.ts';
import { withHolders } from '../../definition/reading.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let pool: Pool;
let templates: TemplateService;
const caller = { workspaceId: null } as Caller;

fixtureForAll(async (fixture) => {
  const { url } = await fixture.database();
  pool = await fixture.use(createPool(url, { max: 2, applicationName: 'test' }), (made) => made.end());
  const limits = { maxDepth: 512, maxBytes: 10_000_000 };
  const reader = { read: async (_: string, source: never) => readNow(source, withHolders, limits) };
  templates = new TemplateService(pool, reader, featuresOf('postgres'));
});

function publish(definition: object) {
  const bytes = new TextEncoder().encode(JSON.stringify(definition));
  return templates.publish(caller, { bytes, format: 'json' });
}

async function rowsOf(id: string) {
  const { rows } = await pool.query(
    `select id, key, type, position, definition
       from workflow_step_templates
      where workflow_template_id = $1
      order by position`,
    [id],
  );
  return rows;
}

const look = { type: 'transform', with: { value: 'a "quoted", {braced} \\ text' } };
const steps = {
  first: { type: 'noop' },
  outer: {
    type: 'each',
    needs: 'first',
    with: {
      items: [1, 2],
      steps: {
        first: { type: 'log', with: { message: '${{ item }}' } },
        inner: { type: 'again', with: { steps: { key: { type: 'noop' } } } },
      },
      output: '${{ steps.first.output }}',
    },
  },
  agent: {
    type: 'tools',
    with: { tools: [{ name: 'a' }, { steps: { look } }, { steps: { look: { type: 'noop' } } }] },
  },
};
const { inner } = steps.outer.with.steps;

test('every step has one, at any depth, with its path, position and definition', async () => {
  const { result } = await publish({ name: 'nested', steps });
  const rows = await rowsOf(result.workflow_template_id);
  expect(rows.map(({ key, type, definition }) => [key, type, definition])).toEqual([
    ['first', 'noop', steps.first],
    ['outer', 'each', steps.outer],
    ['agent', 'tools', steps.agent],
    ['outer/first', 'log', steps.outer.with.steps.first],
    ['outer/inner', 'again', inner],
    ['outer/inner/key', 'noop', inner.with.steps.key],
    ['agent/look', 'transform', look],
    ['agent/1/look', 'noop', { type: 'noop' }],
  ]);
  expect(rows.map(({ position }) => position)).toEqual([...rows.keys()]);
  expect(result.steps).toEqual(rows.map(({ id, key }) => ({ id, key })));
  const { steps: read } = await templates.get(caller, 'nested');
  expect(read).toEqual(rows.map(({ id, key, type }) => ({ id, key, type })));
});

test('a version compiled from them finds the step of each row', async () => {
  const { result } = await publish({ name: 'compiled', steps });
  const stepTypes = withHolders.stepTypes as ReadonlyMap<string, StepType>;
  const versions = new TemplateVersions(compileContext(withHolders, stepTypes));
  const version = await versions.get(pool, result.workflow_template_id);
  for (const { id, key, position } of await rowsOf(result.workflow_template_id)) {
    expect(version.positions.get(id)).toBe(position);
    expect(version.steps[position]!.step.key).toBe(key.split('/').at(-1));
  }
});

test('an equal definition makes none, and one that differs inside makes a version', async () => {
  const first = await publish({ name: 'again', steps });
  expect((await publish({ name: 'again', steps })).result).toEqual(first.result);
  const changed = structuredClone(steps);
  changed.outer.with.steps.first.with.message = 'changed';
  const next = await publish({ name: 'again', steps: changed });
  expect(next).toMatchObject({ created: true, result: { version: 2 } });
  const stored = await readTemplateById(pool, next.result.workflow_template_id);
  expect(stored!.steps).toHaveLength(8);
});

test('ten thousand steps, half of them inside others, are written in one statement', async () => {
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [`s${at}`, { type: 'noop', with: { at } }]));
  const hold = { type: 'each', with: { items: 1, steps: many(5_000) } };
  const { result } = await publish({ name: 'wide', steps: { ...many(4_999), hold } });
  const rows = await rowsOf(result.workflow_template_id);
  expect(rows).toHaveLength(10_000);
  expect(rows[9_999]).toMatchObject({ key: 'hold/s4999', definition: { with: { at: 4_999 } } });
});
