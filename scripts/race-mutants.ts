/**
 * Deliberate bugs in joins that cancel losers.
 */
import type { Mutant } from './mutant.ts';

const CORE = ['core'];

export const RACE_MUTANTS: readonly Mutant[] = [
  {
    name: 'races: a step that serves something else is cancelled',
    file: 'core/races/losers.ts',
    find: 'if (graph.outgoing[slot]!.every(({ to }) => to === join || isOver(to))) losers.add(slot);',
    replace: 'if (graph.outgoing[slot]!.some(({ to }) => to === join || isOver(to))) losers.add(slot);',
    tests: CORE,
  },
  {
    name: 'races: the late result of a loser is applied',
    file: 'core/claims/claim-events.ts',
    find: "if (state?.status !== 'running' || state.attempt !== token.attempt || state.owner !== token.owner)\n    return null;",
    replace:
      'if (state?.lost === true && state.attempt === token.attempt) return state;\n' +
      "  if (state?.status !== 'running' || state.attempt !== token.attempt || state.owner !== token.owner)\n    return null;",
    tests: CORE,
  },
  {
    name: 'races: what the same commit skips counts as a loser',
    file: 'core/settlement.ts',
    find: "if (decision === 'fire' && view.graph.steps[edge.to]!.cancelsLosers) fired = [...fired, edge.to];",
    replace:
      "if (decision === 'fire' && view.graph.steps[edge.to]!.cancelsLosers) cancelLosers(view, plan, [edge.to], newId);",
    tests: CORE,
  },
  {
    name: 'races: edges of losers stay open',
    file: 'core/settlement.ts',
    find: '  resolveEdges(view, plan, losers, newId);\n',
    replace: '',
    tests: CORE,
  },
  {
    name: 'races: the handler of a loser is not told',
    file: 'core/settlement.ts',
    find: "    if (state.status === 'running') plan.aborted.push(state);\n    settle(view, plan, state, 'cancelled');\n    state.lost = true;",
    replace: "    settle(view, plan, state, 'cancelled');\n    state.lost = true;",
    tests: CORE,
  },
  {
    name: 'races: the row of a loser does not say that it has lost',
    file: 'db/apply-plan.ts',
    find: 'if (rows.lost.length > 0) statements.push(markLost(rows.lost));',
    replace: '',
    tests: ['tests/integration/executions/races.test.ts'],
  },
  {
    name: 'races: a loser that runs on another engine is not told',
    file: 'maintenance/pulse-loop.ts',
    find: 'if (lost.length > 0) this.#options.onLost(lost);',
    replace: '',
    tests: ['tests/integration/executions/races.test.ts'],
  },
  {
    name: 'races: late results are forgotten',
    file: 'db/attempts/collect.ts',
    find: 'return late.length === 0 ? NONE : [keepAttempts(late.map(lateWrite), at)];',
    replace: 'return NONE;',
    tests: ['tests/integration/executions/races.test.ts'],
  },
];
