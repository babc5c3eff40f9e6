/**
 * Answers about the load of all engines, in the field names of the API.
 */
import type { Caller } from '../caller.ts';
import type { Page } from '../page.ts';

/** Work that is ready. Numbers are exact up to `MAX_COUNTED`, and that number beyond it. */
export interface ReadyBody {
  depth: number;
  /** How long the oldest has been ready; 0: there is none. */
  oldest_age_seconds: number;
}

export interface QueueBody extends ReadyBody {
  queue: string;
}

export interface TypeBody extends ReadyBody {
  type: string;
  /** Living engines that have the type. */
  engines: number;
}

export interface WorkspaceLoadBody extends ReadyBody {
  /** Null: executions without a workspace. */
  workspace_id: string | null;
}

export interface QueuesBody extends Page<QueueBody> {
  /** Ready steps by their type. */
  step_types: TypeBody[];
  /** Ready steps and executions in line by workspace. */
  workspaces: WorkspaceLoadBody[];
  /** Free tasks by the queue from which workers claim them. */
  task_queues: QueueBody[];
}

export const WORKER_STATUSES = ['alive', 'late', 'dead'] as const;
/** `late`: a heartbeat is missing, and the engine is being judged dead. */
export type WorkerStatus = (typeof WORKER_STATUSES)[number];

export interface WorkerBody {
  /** Id of the engine. */
  id: string;
  status: WorkerStatus;
  role: string;
  host: string;
  pid: number;
  version: string;
  /** Steps that it runs at once; 0: it runs none. */
  capacity: number;
  used: number;
  /** Null: it does not say. */
  step_types: string[] | null;
  started_at: string;
  heartbeat_at: string;
  /** Of one that is late: when it counts as dead at the latest, unless it is heard again. */
  dead_at: string | null;
}

export interface WorkersQuery {
  /** 1 to 500; default 50. */
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface LoadPort {
  queues(caller: Caller): Promise<QueuesBody>;
  workers(caller: Caller, query: WorkersQuery): Promise<Page<WorkerBody>>;
}
