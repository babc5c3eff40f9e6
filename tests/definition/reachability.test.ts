/**
 * Which steps can start, held against trying every way in which the steps of a small definition can end.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../support/core/cases.ts';
import { errorsOf, readSteps } from './reading.ts';

type Need = { step: string; on: string; route?: string[] };
type Step = {
  type: string;
  needs: Need[];
  join?: { atLeast: number };
  with?: { cases: { route: string; when: string }[]; default?: string; multiple?: boolean | string };
};
type Steps = Record<string, Step>;
/** The routes that it named when it completed. */
type End = 'failed' | 'skipped' | readonly string[];

/** Every way in which a step that starts can end. */
function endsOf({ with: params }: Step): End[] {
  if (params === undefined) return ['failed', []];
  const cases = [...new Set(params.cases.map(({ route }) => route))];
  const ends: End[] = ['failed', params.default === undefined ? [] : [params.default]];
  if (params.multiple !== true) ends.push(...cases.map((route) => [route]));
  if (params.multiple === undefined || params.multiple === false) return ends;
  const some: string[][] = [[]];
  for (const route of cases) some.push(...some.map((set) => [...set, route]));
  return [...ends, ...some.filter((set) => set.length > 0)];
}

function isLive({ on, route }: Need, end: End): boolean {
  if (end === 'skipped') return false;
  if (on === 'always') return true;
  if (on === 'failure') return end === 'failed';
  return end !== 'failed' && (route === undefined || route.some((name) => end.includes(name)));
}

/** The steps that start in some of all possible runs, and those of which some edge is live. */
function tryAll(steps: Steps): { started: Set<string>; reached: Set<string> } {
  const keys = Object.keys(steps);
  const found = { started: new Set<string>(), reached: new Set<string>() };
  const run = (at: number, ends: Record<string, End>): void => {
    if (at === keys.length) return;
    const key = keys[at]!;
    const { needs, join } = steps[key]!;
    const live = new Set(needs.filter((need) => isLive(need, ends[need.step]!)).map(({ step }) => step));
    const starts = needs.length === 0 || live.size >= (join?.atLeast ?? 1);
    if (live.size > 0 || needs.length === 0) found.reached.add(key);
    if (starts) found.started.add(key);
    for (const end of starts ? endsOf(steps[key]!) : (['skipped'] as const))
      run(at + 1, { ...ends, [key]: end });
  };
  run(0, {});
  return found;
}

const ROUTES = ['x', 'y', 'z'];
const drawnNeed = fc.record({
  from: fc.nat(5),
  on: fc.constantFrom('success', 'success', 'success', 'failure', 'always'),
  route: fc.subarray(ROUTES),
});
const drawnStep = fc.record({
  cases: fc.subarray(['x', 'y']),
  default: fc.constantFrom(undefined, 'x', 'z', 'z'),
  multiple: fc.constantFrom(undefined, false, true, true, '${{ input.many }}'),
  needs: fc.array(drawnNeed, { maxLength: 4, size: 'max' }),
  atLeast: fc.constantFrom(1, 2, 2, 3),
});

function toSteps(drawn: readonly (typeof drawnStep extends fc.Arbitrary<infer T> ? T : never)[]): Steps {
  const steps: Steps = {};
  for (const [at, { cases, multiple, needs, atLeast, ...step }] of drawn.entries()) {
    const edges = at === 0 ? [] : needs.map(({ from, on, route }) => toNeed(from % at, on, route, steps));
    const distinct = new Set(edges.map(({ step }) => step)).size;
    const params = {
      cases: cases.map((route) => ({ route, when: `\${{ input.${route} }}` })),
      ...(step.default === undefined ? {} : { default: step.default }),
      ...(multiple === undefined ? {} : { multiple }),
    };
    steps[`s${at}`] = {
      type: cases.length === 0 ? 'noop' : 'switch',
      ...(cases.length === 0 ? {} : { with: params }),
      needs: edges,
      ...(distinct > 0 ? { join: { atLeast: Math.min(atLeast, distinct) } } : {}),
    };
  }
  return steps;
}

function toNeed(from: number, on: string, route: readonly string[], steps: Steps): Need {
  const step = `s${from}`;
  const params = steps[step]!.with;
  const declared = [...(params?.cases.map((entry) => entry.route) ?? []), params?.default];
  const known = on === 'success' ? route.filter((name) => declared.includes(name)) : [];
  return known.length === 0 ? { step, on } : { step, on, route: known };
}

test('a definition is refused exactly for the steps that start in no run, but for those that need only such steps', () => {
  let refused = 0;
  let joins = 0;
  const property = fc.property(fc.array(drawnStep, { minLength: 3, maxLength: 6, size: 'max' }), (drawn) => {
    const steps = toSteps(drawn);
    const { started, reached } = tryAll(steps);
    const never = Object.keys(steps).filter((key) => !started.has(key));
    const causes = never.filter((key) => !steps[key]!.needs.every(({ step }) => !started.has(step)));
    const wanted = causes.map((key) =>
      reached.has(key) ? `impossible_join /steps/${key}/join` : `unreachable_step /steps/${key}/needs`,
    );
    expect(errorsOf(readSteps(steps))).toEqual(wanted);
    refused += never.length;
    joins += never.filter((key) => reached.has(key)).length;
  });
  fc.assert(property, cases(1_500));
  expect(refused).toBeGreaterThan(20);
  expect(joins).toBeGreaterThan(20);
});

test('cases and the default of a switch with multiple are never taken together', () => {
  const s = (multiple: unknown, fallback: string) => ({
    type: 'switch',
    with: { cases: [{ route: 'x', when: '${{ input.x }}' }], default: fallback, multiple },
  });
  const rest = {
    a: { type: 'noop', needs: [{ step: 's', route: 'x' }] },
    b: { type: 'noop', needs: [{ step: 's', route: 'z' }] },
    never: { type: 'noop', needs: ['a', 'b'], join: { atLeast: 2 } },
  };
  for (const multiple of [true, false, '${{ input.m }}'])
    expect(errorsOf(readSteps({ s: s(multiple, 'z'), ...rest }))).toEqual([
      'impossible_join /steps/never/join',
    ]);
});

test('a join is refused although each two of the steps it needs go together', () => {
  const either = (key: string) => ({
    [key]: { type: 'noop' },
    [`${key}_ok`]: { type: 'noop', needs: [key] },
    [`${key}_bad`]: { type: 'noop', needs: [{ step: key, on: 'failure' }] },
  });
  const both = (...needs: string[]) => ({ type: 'noop', needs, join: { atLeast: 2 } });
  const steps = {
    ...either('a'),
    ...either('b'),
    ...either('c'),
    ab: both('a_ok', 'b_bad'),
    bc: both('b_ok', 'c_bad'),
    ca: both('c_ok', 'a_bad'),
    some: { type: 'noop', needs: ['ab', 'bc', 'ca'] },
    never: { type: 'noop', needs: ['ab', 'bc'], join: { atLeast: 2 } },
    round: {
      type: 'noop',
      needs: ['either1', 'either2'],
      join: { atLeast: 2 },
    },
    either1: { type: 'noop', needs: ['a_ok', 'b_ok'], join: 'any' },
    either2: { ...both('a_bad', 'b_bad') },
  };
  expect(errorsOf(readSteps(steps)).sort()).toEqual([
    'impossible_join /steps/never/join',
    'impossible_join /steps/round/join',
  ]);
});

test('the largest definitions with choices everywhere are read, and what is not found out is let through', () => {
  const steps: Record<string, unknown> = { s0: { type: 'noop' }, s1: { type: 'noop', needs: [] } };
  for (let at = 2; at < 9_999; at++) {
    steps[`s${at}`] = {
      type: 'noop',
      needs: [
        { step: `s${at - 1}`, on: at % 3 === 0 ? 'failure' : 'success' },
        { step: `s${at - 2}`, on: at % 2 === 0 ? 'failure' : 'always' },
      ],
      join: { atLeast: at % 5 === 0 ? 2 : 1 },
    };
  }
  const codes = new Set(readSteps(steps).errors.map(({ code }) => code));
  expect([...codes].filter((code) => code !== 'impossible_join' && code !== 'unreachable_step')).toEqual([]);
});
