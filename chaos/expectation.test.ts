/** The judge of how executions end: the oracle's play is allowed, and every forgery of it is found. */
import { describe, expect, test } from 'bun:test';
import { Oracle } from '../tests/support/core/oracle.ts';
import { playOut } from '../tests/support/core/scripts.ts';
import { behavioursOf } from './definitions.ts';
import { contradictions, type FoundExecution, type FoundStep } from './expectation.ts';
import { parseOptions } from './options.ts';
import { Plan, type PlannedExecution } from './plan.ts';

const plan = new Plan(parseOptions('--seed 7 --templates 40 --max-steps 20 --executions 400'.split(' ')));
const places = Array.from({ length: 400 }, (_, place) => plan.execution(place));

/** Its undisturbed end. */
function played({ definition, seed }: PlannedExecution): FoundExecution {
  const { template } = definition;
  const behaviours = behavioursOf(definition, seed);
  const verdict = playOut(
    template,
    template.steps.map(({ key, type }) => {
      const behaviour = behaviours.get(key)!;
      return { ...behaviour, routes: type === 'switch' ? behaviour.routes : [] };
    }),
  );
  return found(definition.template, verdict);
}

function found(
  template: PlannedExecution['definition']['template'],
  verdict: Oracle['verdict'],
): FoundExecution {
  const steps = new Map<string, FoundStep>();
  for (const { key, edges } of template.steps) {
    const resolved = edges.flatMap(({ from }, at): [string, boolean][] => {
      const edge = verdict.edges[key]![at]!;
      return edge === 'open' ? [] : [[from, edge === 'live']];
    });
    steps.set(key, { status: verdict.steps[key]!, edges: new Map(resolved) });
  }
  return { status: verdict.execution, errorStep: verdict.error, steps };
}

function forged(execution: FoundExecution, key: string, change: Partial<FoundStep>): FoundExecution {
  const steps = new Map(execution.steps);
  steps.set(key, { ...steps.get(key)!, ...change });
  return { ...execution, steps };
}

const judge = (planned: PlannedExecution, execution: FoundExecution, ending = planned.ending) =>
  contradictions(planned.definition, planned.seed, ending, execution);

describe('an execution that ended by itself', () => {
  test('is as the oracle plays it', () => {
    expect(places.flatMap((planned) => judge(planned, played(planned)))).toEqual([]);
  });

  test('is found out when any of its steps has another status', () => {
    for (const planned of places.slice(0, 100)) {
      const execution = played(planned);
      for (const [key, { status }] of execution.steps) {
        // A step that a failure cancelled may have ended before it.
        if (status === 'cancelled') continue;
        const other = status === 'completed' ? 'skipped' : 'completed';
        expect(judge(planned, forged(execution, key, { status: other }))).not.toEqual([]);
      }
    }
  });

  test('is found out when an edge is missing or turned', () => {
    for (const planned of places.slice(0, 100)) {
      const execution = played(planned);
      for (const [key, { edges }] of execution.steps) {
        for (const [from, live] of edges) {
          const turned = new Map([...edges, [from, !live]] as const);
          expect(judge(planned, forged(execution, key, { edges: turned }))).toHaveLength(1);
          const missing = new Map([...edges].filter(([other]) => other !== from));
          expect(judge(planned, forged(execution, key, { edges: missing }))).toHaveLength(1);
        }
      }
    }
  });

  test('is not cancelled unless somebody asked for it', () => {
    const planned = places.find(({ ending }) => ending === null)!;
    expect(judge(planned, { ...played(planned), status: 'cancelled' })).toHaveLength(1);
  });

  test('names the step whose failure nobody handled', () => {
    const failing = places.find((planned) => played(planned).status === 'failed')!;
    const execution = played(failing);
    const other = [...execution.steps].find(([, { status }]) => status === 'completed')?.[0] ?? null;
    expect(judge(failing, { ...execution, errorStep: other })).not.toEqual([]);
  });
});

describe('an execution that was cancelled', () => {
  const cancelled = { kind: 'cancel', afterMs: 0 } as const;
  const several = places.filter(({ definition }) => definition.template.steps.length > 5).slice(0, 60);

  test('may have got anywhere, but everywhere it got must follow', () => {
    for (const planned of several) {
      const oracle = new Oracle(planned.definition.template);
      oracle.tell({ fact: 'begin' });
      oracle.tell({ fact: 'cancel' });
      const execution = found(planned.definition.template, oracle.verdict);
      expect(judge(planned, execution, cancelled)).toEqual([]);
      const last = planned.definition.template.steps.find(({ edges }) => edges.length > 0)!.key;
      expect(judge(planned, forged(execution, last, { status: 'completed' }), cancelled)).not.toEqual([]);
    }
  });
});
