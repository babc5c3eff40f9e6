/**
 * Definitions that were published once, read by an engine that has other step types or settings, or is older.
 */
import { describe, expect, test } from 'bun:test';
import type { JsonObject } from '../../core/json/json.ts';
import type { ProblemCode } from '../../core/problem-code.ts';
import { buildStored, judgeStored, readDefinition } from '../../definition/definition.ts';
import { context } from './reading.ts';

const definition = (steps: object, more: object = {}) => ({ name: 'order', steps, ...more });

function read(document: unknown) {
  const { errors, faults } = judgeStored(document, context);
  return { errors: errors.map(({ code }) => code), faults: Object.keys(faults) };
}

function build(document: JsonObject) {
  const building = buildStored(document, context);
  for (;;) {
    const { done, value } = building.next();
    if (done) return value;
  }
}

describe('a stored definition', () => {
  test('of which nothing is wrong is read as it was when it was published', () => {
    const document = definition({
      a: { type: 'switch', with: { cases: [{ when: '${{ true }}', route: 'x' }] } },
      b: { type: 'noop', needs: [{ step: 'a', route: 'x' }], retry: { limit: 2 } },
    });
    expect(build(document as JsonObject)).toEqual(readDefinition(document, context).template!);
    expect(read(document)).toEqual({ errors: [], faults: [] });
  });

  test.each([
    ['a type that is not there', { type: 'not-there' }],
    ['parameters that its type does not take', { type: 'delay', with: { fro: '1s' } }],
    ['an expression that cannot be read', { type: 'log', with: { message: '${{ input. }}' } }],
    ['a guard that cannot be read', { type: 'noop', when: '${{ input. }}' }],
    ['a limit whose key cannot be read', { type: 'noop', concurrency: { key: '${{ ( }}', limit: 1 } }],
    ['heartbeats that its type does not send', { type: 'noop', heartbeatTimeout: '1s' }],
  ])('with a step that has %s is a fault of that step alone', (_, step) => {
    const document = definition({ before: { type: 'noop' }, odd: { ...step, needs: ['before'] } });
    expect(read(document)).toEqual({ errors: [], faults: ['odd'] });
    expect(readDefinition(document, context).template).toBeNull();
  });

  test('keeps the name of a type that is not there, its edges and its retries', () => {
    const document = definition({
      before: { type: 'noop' },
      odd: { type: 'not-there', needs: ['before'], retry: { limit: 7 } },
      after: { type: 'noop', needs: [{ step: 'odd', route: 'left' }] },
    });
    const { steps } = build(document as JsonObject);
    expect(steps[1]).toMatchObject({ key: 'odd', type: 'not-there', retry: { limit: 7 } });
    expect(steps[2]!.edges).toMatchObject([{ from: 'odd', conditions: [{ routes: ['left'] }] }]);
  });

  test.each([
    ['a url without a scheme', { type: 'http', with: { url: 'stock.example' } }],
    ['a script that is no JavaScript', { type: 'script', with: { code: 'return (' } }],
    ['a day that there is not', { type: 'delay', with: { until: '2027-02-30' } }],
    ['a name that execution does not have', { type: 'noop', with: { x: '${{ execution.nope }}' } }],
    ['a number that is not exact', { type: 'noop', when: '${{ input.id === 9007199254740993 }}' }],
    ['a secret that is not there', { type: 'noop', with: { x: '${{ secrets.NOPE }}' } }],
  ])('with %s is run, and its step fails or not', (_, step) => {
    expect(read(definition({ a: step }))).toEqual({ errors: [], faults: [] });
  });

  test('is not held to limits that were lowered since', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 40; level += 1) deep = [deep];
    const steps = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`s${at}`, { type: 'noop' }]));
    const document = definition({ ...steps, deep: { type: 'merge', with: { value: deep } } });
    const limited = { ...context, limits: { maxSteps: 10, maxScopeDepth: 0, maxDepth: 20 } };
    expect(readDefinition(document, limited).template).toBeNull();
    expect(judgeStored(document, limited).errors).toEqual([]);
  });

  test.each<[string, unknown, ProblemCode]>([
    ['a field that is not known', definition({ a: { type: 'noop' } }, { later: true }), 'unknown_field'],
    [
      'a field of a step that is not known',
      definition({ a: { type: 'noop', later: true } }),
      'unknown_field',
    ],
    [
      'retries that are not known',
      definition({ a: { type: 'noop', retry: { limit: -1 } } }),
      'invalid_value',
    ],
    ['no steps', { name: 'order', steps: {} }, 'no_steps'],
    ['no object at all', 'order', 'not_an_object'],
  ])('with %s is not understood', (_, document, code) => {
    expect(read(document)).toEqual({ errors: [code], faults: [] });
  });
});
