/**
 * Definitions that were published once, read by an engine that has other step types or settings, or is older.
 */
import { describe, expect, test } from 'bun:test';
import { readDefinition, readStored } from '../../definition/definition.ts';
import { context } from './reading.ts';

const definition = (steps: object, more: object = {}) => ({ name: 'order', steps, ...more });

function read(document: unknown) {
  const { template, errors, faults } = readStored(document, context);
  return { isRead: template !== null, errors: errors.map(({ code }) => code), faults: [...faults.keys()] };
}

describe('a stored definition', () => {
  test('of which nothing is wrong is read as it was when it was published', () => {
    const document = definition({
      a: { type: 'switch', with: { cases: [{ when: '${{ true }}', route: 'x' }] } },
      b: { type: 'noop', needs: [{ step: 'a', route: 'x' }], retry: { limit: 2 } },
    });
    const { template, faults } = readStored(document, context);
    expect(template).toEqual(readDefinition(document, context).template);
    expect(template).not.toBeNull();
    expect(faults.size).toBe(0);
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
    expect(read(document)).toEqual({ isRead: true, errors: [], faults: ['odd'] });
    expect(readDefinition(document, context).template).toBeNull();
  });

  test('keeps the name of a type that is not there, its edges and its retries', () => {
    const document = definition({
      before: { type: 'noop' },
      odd: { type: 'not-there', needs: ['before'], retry: { limit: 7 } },
      after: { type: 'noop', needs: [{ step: 'odd', route: 'left' }] },
    });
    const { template } = readStored(document, context);
    expect(template!.steps[1]).toMatchObject({ key: 'odd', type: 'not-there', retry: { limit: 7 } });
    expect(template!.steps[2]!.edges).toMatchObject([{ from: 'odd', conditions: [{ routes: ['left'] }] }]);
  });

  test('is not held to limits that were lowered since', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 40; level += 1) deep = [deep];
    const steps = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`s${at}`, { type: 'noop' }]));
    const document = definition({ ...steps, deep: { type: 'merge', with: { value: deep } } });
    const limited = { ...context, limits: { maxSteps: 10, maxDepth: 20 } };
    expect(readDefinition(document, limited).template).toBeNull();
    expect(readStored(document, limited).errors).toEqual([]);
  });

  test.each([
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
    expect(read(document)).toEqual({ isRead: false, errors: [code], faults: [] });
  });
});
