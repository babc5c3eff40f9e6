import { describe, expect, test } from 'bun:test';
import { errorsOf, readSteps, warningsOf } from './reading.ts';

const noop = { type: 'noop' };
const after = (...needs: unknown[]) => ({ type: 'noop', needs });
const switchTo = (...routes: string[]) => ({
  type: 'switch',
  with: { cases: routes.map((route) => ({ route, when: '${{ input.x }}' })) },
});

describe('an edge', () => {
  test('comes from a step that exists', () => {
    const { errors } = readSteps({
      reserve: noop,
      b: after('reserv'),
      c: after({ step: 'nothing-like-it' }),
    });
    expect(errors).toMatchObject([
      { code: 'unknown_need', pointer: '/steps/b/needs/0' },
      { code: 'unknown_need', pointer: '/steps/c/needs/0' },
    ]);
    expect(errors[0]?.message).toContain('Did you mean "reserve"?');
  });

  test('does not come from the step itself', () => {
    expect(errorsOf(readSteps({ a: after('a') }))).toEqual(['self_need /steps/a/needs/0']);
    expect(errorsOf(readSteps({ a: { type: 'noop', needs: 'a' } }))).toEqual(['self_need /steps/a/needs']);
  });

  test('names a route that its producer declares', () => {
    const { errors } = readSteps({
      s: switchTo('express'),
      e: after({ step: 's', route: 'express' }),
      x: after({ step: 's', route: ['expres', 'express'] }),
    });
    expect(errors).toMatchObject([{ code: 'unknown_route', pointer: '/steps/x/needs/0/route' }]);
    expect(errors[0]?.message).toContain('Did you mean "express"?');
  });

  test('has no route from a type without routes, nor with failure or always', () => {
    expect(errorsOf(readSteps({ a: noop, b: after({ step: 'a', route: 'x' }) }))).toEqual([
      'route_not_allowed /steps/b/needs/0/route',
    ]);
    for (const on of ['failure', 'always']) {
      const steps = { s: switchTo('x'), b: after({ step: 's', on, route: 'x' }) };
      expect(errorsOf(readSteps(steps))).toEqual(['route_not_allowed /steps/b/needs/0/route']);
    }
  });

  test('is not judged when the routes of its producer are not known', () => {
    const broken = { type: 'switch', with: { cases: 'none' } };
    const found = errorsOf(readSteps({ s: broken, b: after({ step: 's', route: 'x' }) }));
    expect(found).toEqual(['invalid_params /steps/s/with/cases']);
    expect(errorsOf(readSteps({ f: { type: 'fragile' }, b: after({ step: 'f', route: 'x' }) }))).toEqual([]);
  });
});

describe('a cycle', () => {
  test('is named in the order in which its steps would run', () => {
    const { errors } = readSteps({ a: after('c'), b: after('a'), c: after('b'), d: after('c'), e: noop });
    expect(errors).toMatchObject([{ code: 'cycle', pointer: '/steps/a/needs' }]);
    expect(errors[0]?.message).toContain('a -> b -> c -> a.');
  });

  test('is the shortest of a knot, and every knot is reported', () => {
    const { errors } = readSteps({
      a: after('d', 'b'),
      b: after('a'),
      c: after('b'),
      d: after('c'),
      x: after('y'),
      y: after({ step: 'x', on: 'failure' }),
    });
    expect(errors.map(({ code }) => code)).toEqual(['cycle', 'cycle']);
    expect(errors[0]?.message).toContain('a -> b -> a.');
    expect(errors[1]?.message).toContain('x -> y -> x.');
  });

  test('hides no other problem', () => {
    expect(errorsOf(readSteps({ a: after('b'), b: after('a', 'q'), c: { type: 'nop' } })).sort()).toEqual([
      'cycle /steps/a/needs',
      'unknown_need /steps/b/needs/1',
      'unknown_step_type /steps/c/type',
    ]);
  });
});

describe('a step that can never start', () => {
  test('has only edges on routes that no case names', () => {
    const steps = {
      s: switchTo('x'),
      x: after({ step: 's', route: 'x' }),
      a: after({ step: 's', route: 'nope' }),
      b: after('a'),
    };
    expect(errorsOf(readSteps(steps))).toEqual([
      'unknown_route /steps/a/needs/0/route',
      'unreachable_step /steps/a/needs',
    ]);
  });

  test('starts when one of its edges can be live', () => {
    const steps = { s: switchTo('x'), a: after({ step: 's', route: 'nope' }), b: after('a', 's') };
    expect(errorsOf(readSteps(steps))).not.toContain('unreachable_step /steps/b/needs');
  });

  test('waits for more than one of the branches of a switch', () => {
    const steps = {
      s: switchTo('x', 'y', 'z'),
      x: after({ step: 's', route: 'x' }),
      y: after({ step: 's', route: ['y', 'z'] }),
      x2: after('x'),
      j: { ...after('x2', 'y'), join: { atLeast: 2 } },
      k: after('j'),
    };
    expect(errorsOf(readSteps(steps))).toEqual(['impossible_join /steps/j/join']);
    expect(errorsOf(readSteps({ ...steps, j: { ...after('x2', 'y'), join: { atLeast: 1 } } }))).toEqual([]);
    expect(errorsOf(readSteps({ ...steps, j: after('x2', 'y') }))).toEqual([]);
    expect(errorsOf(readSteps({ ...steps, y: after({ step: 's', route: ['y', 'x'] }) }))).toEqual([]);
    expect(errorsOf(readSteps({ ...steps, y: after('s') }))).toEqual([]);
  });

  test('waits for both the success and the failure of one step', () => {
    const steps = {
      a: noop,
      good: after('a'),
      bad: after({ step: 'a', on: 'failure' }),
      j: { ...after('good', 'bad'), join: { atLeast: 2 } },
    };
    expect(errorsOf(readSteps(steps))).toEqual(['impossible_join /steps/j/join']);
    expect(errorsOf(readSteps({ ...steps, good: after({ step: 'a', on: 'always' }) }))).toEqual([]);
  });

  test('is not seen where a switch may take several routes', () => {
    for (const multiple of [true, '${{ input.many }}']) {
      const s = { type: 'switch', with: { ...switchTo('x', 'y').with, multiple } };
      const steps = {
        s,
        x: after({ step: 's', route: 'x' }),
        y: after({ step: 's', route: 'y' }),
        j: { ...after('x', 'y'), join: { atLeast: 2 } },
      };
      expect(errorsOf(readSteps(steps))).toEqual([]);
    }
  });

  test('is only a warning behind a guard that is literally false', () => {
    const result = readSteps({
      a: { ...noop, when: false },
      b: after('a'),
      c: after({ step: 'b', on: 'always' }),
      d: after('a', 'e'),
      e: noop,
    });
    expect(errorsOf(result)).toEqual([]);
    expect(warningsOf(result)).toEqual([
      'unreachable_step /steps/b/needs',
      'unreachable_step /steps/c/needs',
    ]);
    expect(result.template).not.toBeNull();
  });
});

test('a route that leads nowhere is a warning', () => {
  const result = readSteps({ s: switchTo('x', 'y'), x: after({ step: 's', route: 'x' }) });
  expect(errorsOf(result)).toEqual([]);
  expect(warningsOf(result)).toEqual(['unused_route /steps/s/with']);
  expect(result.warnings[0]?.message).toContain('"y"');
});
