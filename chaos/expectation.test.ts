/** The judge of how executions end: the oracle's play is allowed, and every forgery of it is found. */
import { describe, expect, test } from 'bun:test';
import { Oracle } from '../tests/support/core/oracle.ts';
import { Performance, playOut } from '../tests/support/core/scripts.ts';
import { chance } from './chance.ts';
import { behavioursOf } from './definitions.ts';
import { contradictions, type FoundExecution, type FoundStep } from './expectation.ts';
import { parseOptions } from './options.ts';
import { STOP } from './ordered-replay.ts';
import { Plan, type PlannedExecution } from './plan.ts';

const plan = new Plan(parseOptions('--seed 7 --templates 40 --max-steps 20 --executions 400'.split(' ')));
const places = Array.from({ length: 400 }, (_, place) => plan.execution(place)).filter(
  ({ definition }) => definition.kind === 'plain',
);

const fateOf = (seed: number) => ({ seed, lost: new Set<string>() });

/** Its undisturbed end. */
function played({ definition, seed }: PlannedExecution): FoundExecution {
  const { template } = definition;
  const behaviours = behavioursOf(definition, fateOf(seed));
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
  return { status: verdict.execution, errorStep: verdict.error, steps, commits: [] };
}

function forged(execution: FoundExecution, key: string, change: Partial<FoundStep>): FoundExecution {
  const steps = new Map(execution.steps);
  steps.set(key, { ...steps.get(key)!, ...change });
  return { ...execution, steps };
}

const judge = (planned: PlannedExecution, execution: FoundExecution, ending = planned.ending) =>
  contradictions(planned.definition, fateOf(planned.seed), ending, execution);

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

/**
 * One step after the other comes to its end, in a random order.
 * @param intervene is told of the oracle after each end, and tells it what comes from outside. Returns the marks of that.
 */
function playedInOrder(
  { definition, seed }: PlannedExecution,
  intervene: (oracle: Oracle) => readonly string[] = () => [],
): FoundExecution {
  const { template } = definition;
  const oracle = new Oracle(template);
  const behaviours = behavioursOf(definition, fateOf(seed));
  const draw = chance(seed, 'order');
  const commits: string[][] = [];
  oracle.tell({ fact: 'begin' });
  for (;;) {
    const { steps } = oracle.verdict;
    const ready = Object.keys(steps).filter((key) => steps[key] === 'queued');
    if (ready.length === 0) break;
    const key = draw.pick(ready);
    const kind = definition.traits.get(key)?.kind;
    const performance = new Performance(behaviours.get(key)!, kind === 'route' || kind === 'switch');
    while (oracle.tell({ fact: 'claimed', key })) {
      const fact = performance.next(key);
      performance.advance(fact);
      oracle.tell(fact);
      oracle.tell({ fact: 'resumed', key });
      oracle.tell({ fact: 'retry due', key });
    }
    commits.push([key]);
    oracle.nextCommit();
    const marks = intervene(oracle);
    if (marks.length > 0) commits.push([...marks]);
  }
  const end = found(template, oracle.verdict);
  const steps = new Map(end.steps);
  for (const { compensation } of template.steps) {
    const status = oracle.verdict.steps[compensation?.key ?? ''];
    if (status !== undefined && status !== 'absent')
      steps.set(compensation!.key, { status, edges: new Map() });
  }
  return { ...end, steps, commits };
}

describe('an execution whose course matters', () => {
  const wide = new Plan(parseOptions('--seed 7 --templates 160 --max-steps 20 --executions 800'.split(' ')));
  const inOrder = Array.from({ length: 800 }, (_, place) => wide.execution(place)).filter(
    ({ definition }) => definition.kind !== 'plain',
  );

  test('is as the oracle plays it, whatever the order of the ends', () => {
    expect(inOrder.flatMap((planned) => judge(planned, playedInOrder(planned), null))).toEqual([]);
  });

  test('is found out when two compensations came in another order', () => {
    const several = inOrder
      .map((planned) => ({ planned, execution: playedInOrder(planned) }))
      .filter(({ execution }) => undoneOf(execution).length > 1);
    expect(several.length).toBeGreaterThan(5);
    for (const { planned, execution } of several) {
      const [last, before] = [execution.commits.at(-1)!, execution.commits.at(-2)!];
      const commits = [...execution.commits.slice(0, -2), last, before];
      expect(judge(planned, { ...execution, commits }, null)).not.toEqual([]);
    }
  });

  test('is found out when something was not undone, or a loser went on', () => {
    const forgeries = inOrder.flatMap((planned) => {
      const execution = playedInOrder(planned);
      const changed = [...execution.steps].filter(([key, { status }]) =>
        key.includes('~')
          ? status === 'completed'
          : status === 'cancelled' && execution.status === 'completed',
      );
      return changed.map(([key]) => ({ planned, execution, key }));
    });
    expect(forgeries.length).toBeGreaterThan(20);
    for (const { planned, execution, key } of forgeries) {
      const status = key.includes('~') ? 'cancelled' : 'completed';
      expect(judge(planned, forged(execution, key, { status }), null)).not.toEqual([]);
    }
  });
});

describe('an execution that was cancelled when something was to be undone', () => {
  const wide = new Plan(parseOptions('--seed 7 --templates 160 --max-steps 20 --executions 800'.split(' ')));
  const undone = Array.from({ length: 800 }, (_, place) => wide.execution(place)).filter(
    ({ definition }) => definition.kind === 'undone',
  );
  const both = { kind: 'both', afterMs: 0 } as const;
  const isCompensating = (oracle: Oracle) => oracle.verdict.execution === 'compensating';
  const isSettled = (oracle: Oracle, { definition }: PlannedExecution) =>
    definition.template.steps.every(({ key }) =>
      ['completed', 'failed', 'skipped'].includes(oracle.verdict.steps[key]!),
    );

  test('may have no compensation while steps had time to end after a stop', () => {
    let count = 0;
    for (const planned of undone) {
      let isStopped = false;
      const execution = playedInOrder(planned, (oracle) => {
        const { steps } = oracle.verdict;
        const running = Object.keys(steps).find((key) => steps[key] === 'queued');
        if (oracle.verdict.execution !== 'running' || running === undefined) return [];
        oracle.tell({ fact: 'claimed', key: running });
        oracle.tell({ fact: 'stop' });
        isStopped = isCompensating(oracle);
        oracle.tell({ fact: 'cancel' });
        return [STOP];
      });
      if (!isStopped) continue;
      count += 1;
      expect(undoneOf(execution)).toEqual([]);
      expect(judge(planned, execution, both)).toEqual([]);
    }
    expect(count).toBeGreaterThan(20);
  });

  test('is found out without its compensation when no step can have run', () => {
    let count = 0;
    for (const planned of undone) {
      let began: string | undefined;
      const execution = playedInOrder(planned, (oracle) => {
        const { steps } = oracle.verdict;
        if (!isCompensating(oracle) || !isSettled(oracle, planned)) return [];
        began ??= Object.keys(steps).find((key) => steps[key] === 'queued');
        oracle.tell({ fact: 'cancel' });
        return [];
      });
      if (began === undefined) continue;
      count += 1;
      expect(judge(planned, execution, both)).toEqual([]);
      const steps = new Map([...execution.steps].filter(([key]) => key !== began));
      expect(judge(planned, { ...execution, steps }, both)).not.toEqual([]);
    }
    expect(count).toBeGreaterThan(0);
  });
});

const undoneOf = ({ steps }: FoundExecution) => [...steps.keys()].filter((key) => key.includes('~'));
