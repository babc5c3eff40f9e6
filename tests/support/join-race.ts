/**
 * A join whose predecessors all complete at the same moment, on two engine processes that share a database.
 */
import type { JsonObject } from '../../core/json/json.ts';
import { type EngineDatabase, type EngineProcess, statuses } from './engine.ts';
import type { Fixture } from './fixture.ts';
import { fanIn } from './wide-definition.ts';

export const PREDECESSORS = 500;

/** Each has the slots for half of the predecessors and few more: neither can hold them all. */
export async function startRaceEngines(fixture: Fixture): Promise<readonly [EngineProcess, EngineProcess]> {
  const config = { EXECUTION_ENGINE_CONCURRENCY: '260' };
  return [
    await fixture.engineProcess({ name: 'one', config }),
    await fixture.engineProcess({ name: 'two', config }),
  ];
}

export interface RaceResult {
  readonly status: string;
  readonly joinRuns: number;
  readonly predecessorRuns: number;
  /** How many engines ran predecessors. */
  readonly engines: number;
  readonly tracked: number;
  readonly joinStatus: string | undefined;
}

/** One race. Every predecessor waits until all of them run, on both engines, and then all end at once. */
export async function race(
  database: EngineDatabase,
  engine: EngineProcess,
  template: string,
  place: string,
): Promise<RaceResult> {
  const id = await engine.start(template, { inputs: { place } });
  const status = await engine.end(id);
  const { rows } = await database.pool.query(
    `select count(*) filter (where step = 'join')::integer as join_runs,
            count(*) filter (where step <> 'join')::integer as predecessor_runs,
            count(distinct engine) filter (where step <> 'join')::integer as engines,
            (select count(*)::integer
               from workflow_step_executions s join workflow_input_tracker i on i.step_execution_id = s.id
              where s.workflow_execution_id = $1) as tracked
       from test_runs where execution_id = $1`,
    [id],
  );
  return {
    status: status.status,
    joinRuns: rows[0].join_runs,
    predecessorRuns: rows[0].predecessor_runs,
    engines: rows[0].engines,
    tracked: rows[0].tracked,
    joinStatus: statuses(status).join,
  };
}

/** What every race must come to. */
export const FAIR_RACE: RaceResult = {
  status: 'completed',
  joinRuns: 1,
  predecessorRuns: PREDECESSORS,
  engines: 2,
  tracked: PREDECESSORS,
  joinStatus: 'completed',
};

export function raceDefinition(join: JsonObject = {}): JsonObject {
  const parameters = { place: '${{ input.place }}', count: PREDECESSORS };
  return fanIn(PREDECESSORS, 'barrier', parameters, { type: 'record', ...join });
}
