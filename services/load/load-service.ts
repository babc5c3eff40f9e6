/**
 * The load of all engines: what is ready, and who runs it.
 */
import type { Pool } from '../../db/connection/client.ts';
import type { SignsOfLife } from '../../db/engine-alive.ts';
import { type ListedEngine, readEngines } from '../../db/explain/engines.ts';
import { type ReadyWork, readReadyWork } from '../../db/load/queues.ts';
import type { Caller } from '../caller.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Page } from '../page.ts';
import type { LoadPort, QueuesBody, ReadyBody, WorkerBody, WorkersQuery } from './load-answers.ts';

export interface LoadOptions {
  readonly pool: Pool;
  readonly jobTable: string;
  readonly signs: SignsOfLife;
}

const DEFAULT_PAGE = 50;
/** The queues of pg-boss, in the order in which they are shown. */
const QUEUES = ['WorkflowExecutionQueue', 'StepExecutionQueue', 'MergeExecutionQueue'];

export class LoadService implements LoadPort {
  readonly #options: LoadOptions;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  async queues(_caller: Caller): Promise<QueuesBody> {
    const { pool, jobTable, signs } = this.#options;
    const [ready, engines] = await Promise.all([readReadyWork(pool, jobTable), readEngines(pool, signs)]);
    const by = (what: ReadyWork['by']) => ready.filter((work) => work.by === what);
    const found = new Map(by('queue').map((work) => [work.name, work]));
    const able = engines.filter(({ isAlive, capacity }) => isAlive && capacity > 0);
    return {
      data: QUEUES.map((queue) => ({ queue, ...readyOf(found.get(queue)) })),
      step_types: by('type').map((work) => {
        const type = work.name!;
        const has = able.filter(({ stepTypes }) => stepTypes === null || stepTypes.includes(type));
        return { type, ...readyOf(work), engines: has.length };
      }),
      workspaces: by('workspace').map((work) => ({ workspace_id: work.name, ...readyOf(work) })),
      task_queues: by('task').map((work) => ({ queue: work.name!, ...readyOf(work) })),
      next_cursor: null,
    };
  }

  async workers(_caller: Caller, { limit = DEFAULT_PAGE, cursor }: WorkersQuery): Promise<Page<WorkerBody>> {
    const { pool, signs } = this.#options;
    const after = cursor === undefined ? null : decodeCursor('workers', cursor);
    const rows = await readEngines(pool, signs, { after, limit: limit + 1 });
    const data = rows.slice(0, limit).map(workerBody);
    return { data, next_cursor: rows.length > limit ? encodeCursor('workers', data.at(-1)!.id) : null };
  }
}

function readyOf(work: ReadyWork | undefined): ReadyBody {
  return { depth: work?.depth ?? 0, oldest_age_seconds: work?.oldestAgeSeconds ?? 0 };
}

function workerBody(engine: ListedEngine): WorkerBody {
  const { id, isAlive, isLate, role, host, pid, version, capacity, used, stepTypes } = engine;
  return {
    id,
    status: isAlive ? (isLate ? 'late' : 'alive') : 'dead',
    role,
    host,
    pid,
    version,
    capacity,
    used,
    step_types: stepTypes === null ? null : [...stepTypes],
    started_at: new Date(engine.startedAt).toISOString(),
    heartbeat_at: new Date(engine.heardAt).toISOString(),
    dead_at: isLate ? new Date(engine.deadAt).toISOString() : null,
  };
}
