/**
 * Versions of templates whose steps hold steps.
 */
import { describe, expect, test } from 'bun:test';
import type { JsonObject } from '../core/json/json.ts';
import { EngineError } from '../core/problem.ts';
import { listSteps } from '../core/scopes/step-list.ts';
import type { StoredTemplate } from '../core/template.ts';
import { buildStored } from '../definition/definition.ts';
import type { StepType } from '../steps/step-type.ts';
import { withHolders } from '../tests/definition/reading.ts';
import { compileVersion } from './compile.ts';
import { compileContext } from './context.ts';
import type { TemplateVersion } from './version.ts';
import { weightOf } from './weight.ts';

const compiler = compileContext(withHolders, withHolders.stepTypes as ReadonlyMap<string, StepType>);

function toTheEnd<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

function storedWith(steps: object): StoredTemplate {
  const definition = { name: 'x', steps } as JsonObject;
  const listed = listSteps(toTheEnd(buildStored(definition, withHolders)).steps);
  return {
    id: 'x',
    name: 'x',
    version: 1,
    workspaceId: null,
    description: null,
    definition,
    source: JSON.stringify(definition),
    definitionHash: '',
    createdAt: new Date(0),
    archivedAt: null,
    steps: listed.map(({ path, step }) => ({ id: `id of ${path}`, key: path, type: step.type })),
  };
}

function compile(stored: StoredTemplate): TemplateVersion {
  return toTheEnd(compileVersion(stored, compiler.judge(stored.definition), compiler));
}

const value = (expression: unknown, ...needs: string[]) => ({
  type: 'transform',
  with: { value: expression },
  needs,
});
const each = (steps: object, more: object = {}, ...needs: string[]) => ({
  type: 'each',
  with: { items: [1], steps, ...more },
  needs,
});

const STEPS = {
  first: { type: 'noop' },
  second: { type: 'noop', needs: ['first'] },
  outer: each(
    {
      near: { type: 'noop' },
      inner: {
        type: 'again',
        needs: ['near'],
        with: {
          while: '${{ iteration < 3 && item && steps.near.output }}',
          steps: {
            x: { type: 'noop' },
            y: value(
              '${{ [steps.x.output, steps.near.output, steps.second.output, steps.first.error, index, iteration, input] }}',
              'x',
            ),
            z: {
              ...value('${{ steps[input.k] }}', 'x'),
              concurrency: { key: '${{ item + steps.x.route }}', limit: 1 },
            },
          },
          output: '${{ [steps.x.output, steps.second.output, item] }}',
        },
      },
    },
    { inputs: { a: '${{ [item, steps.first.output] }}' } },
    'second',
  ),
  last: { type: 'noop', needs: ['outer'] },
};

describe('a version with steps inside steps', () => {
  const version = compile(storedWith(STEPS));
  const step = (path: string) => version.steps[version.positions.get(`id of ${path}`)!]!;

  test('has all steps by position, and positions by the ids of their rows', () => {
    expect(version.stepTemplateIds).toEqual(
      [
        ...['first', 'second', 'outer', 'last', 'outer/near', 'outer/inner'],
        ...['outer/inner/x', 'outer/inner/y', 'outer/inner/z'],
      ].map((path) => `id of ${path}`),
    );
    expect(version.steps.map(({ step: { key } }) => key)).toEqual(
      version.stepTemplateIds.map((id) => id.split(/ of |\//).at(-1)!),
    );
    expect(version.graphs).toEqual(version.scopes.map(({ graph }) => graph));
    expect(version.graphs.map(({ firstPosition }) => firstPosition)).toEqual([0, 4, 6]);
    expect(version.graph).toBe(version.graphs[0]!);
  });

  test('knows which steps of which scopes an expression reads', () => {
    expect(step('outer/inner/y')).toMatchObject({
      reads: [0],
      outerReads: [
        { up: 1, slot: 0 },
        { up: 2, slot: 1 },
        { up: 2, slot: 0 },
      ],
      nameReads: [
        { name: 'index', up: 1 },
        { name: 'iteration', up: 0 },
      ],
      usesInput: true,
    });
    expect(step('outer/inner/z')).toMatchObject({
      reads: null,
      outerReads: null,
      nameReads: [],
      limits: { reads: [0], outerReads: [], nameReads: [{ name: 'item', up: 1 }] },
    });
  });

  test('gives a holder the reads of its own parameters, and none of the steps inside it', () => {
    expect(step('outer')).toMatchObject({ reads: [0], outerReads: [], nameReads: [], usesInput: false });
    expect(step('outer/inner')).toMatchObject({
      reads: [0],
      outerReads: [],
      nameReads: [{ name: 'item', up: 0 }],
      usesInput: false,
    });
    expect(step('outer').params!.stepReferences).toEqual([]);
    expect(step('outer').params!.parts).toEqual([]);
  });

  test('has the output of each scope with what that reads', () => {
    expect(version.scopes.map(({ output }) => output !== null)).toEqual([false, false, true]);
    expect(version.scopes[2]!.outputReads).toMatchObject({
      reads: [0],
      outerReads: [{ up: 2, slot: 1 }],
      nameReads: [{ name: 'item', up: 1 }],
    });
  });

  test('leaves a step inside another to other engines by its path', () => {
    const faulty = compile(
      storedWith({ outer: each({ a: { type: 'nope' }, b: { type: 'noop' } }), a: { type: 'noop' } }),
    );
    expect(faulty.hasFaults).toBe(true);
    expect(faulty.steps.map(({ fault }) => fault?.code ?? null)).toEqual([
      null,
      null,
      'unknown_step_type',
      null,
    ]);
  });

  test('is not compiled when a step inside another has no row', () => {
    const stored = storedWith(STEPS);
    const steps = stored.steps.filter(({ key }) => key !== 'outer/inner/y');
    expect(() => compile({ ...stored, steps })).toThrow(EngineError);
    expect(() => compile({ ...stored, steps })).toThrow('step "outer/inner/y" has no row');
  });

  test('weighs the data of a step inside others once', () => {
    const data = { type: 'transform', with: { value: 'x'.repeat(100_000) } };
    const nested = { a: each({ b: each({ c: each({ d: data }) }) }) };
    expect(weightOf(compile(storedWith(nested)))).toBeLessThan(
      weightOf(compile(storedWith({ d: data }))) + 50_000,
    );
  });
});

test('a version whose steps hold none has the lists of one scope', () => {
  const version = compile(
    storedWith({ a: { type: 'noop' }, b: value('${{ steps.a.output + steps[input.k] }}', 'a') }),
  );
  expect(version.graphs).toEqual([version.graph]);
  expect(version.scopes).toHaveLength(1);
  expect(version.steps[1]).toMatchObject({ reads: null, outerReads: [], nameReads: [] });
  expect(version.steps[1]!.outerReads).toBe(version.steps[0]!.outerReads);
});
