/**
 * Which worker a job of a workspace goes to.
 *
 * With several workspaces, a workspace whose code is slow leaves processors and workers to the others: its jobs run
 * alone, on few workers, and only while another worker stays free of slow code.
 */
import { headOf, type Worker } from './job.ts';

export interface PlacementLimits {
  /** Workers that one workspace may hold. */
  readonly share: number;
  /** Workers that one workspace with slow code may hold. */
  readonly slowShare: number;
  /** Jobs that a worker may have at once. */
  readonly maxInFlight: number;
  /** Returns whether the workspace's code is slow; false while the workspace is the only one. */
  isSlow(workspace: string): boolean;
}

export interface LaneSize {
  /**
   * Processes. While all are held up there is one more; and twice as many (two more, if it is one) at most once there are
   * several workspaces, of which each holds no more than this.
   */
  readonly size: number;
  /** Processors of this machine: a workspace with slow code leaves one to the others, when there are several. */
  readonly processors: number;
  /** Requests that a process may have at once. */
  readonly maxInFlight: number;
}

/**
 * @param hasOthers whether there are several workspaces
 * @param wasSlow whether the latest jobs of the workspace were slow
 */
export function placementLimits(
  { size, processors, maxInFlight }: LaneSize,
  workers: ReadonlySet<Worker>,
  hasOthers: boolean,
  wasSlow: (workspace: string) => boolean,
): PlacementLimits {
  const holdsUp = (workspace: string) => [...workers].some((worker) => isHeldUpBy(worker, workspace));
  return {
    share: hasOthers ? size : size + 1,
    slowShare: Math.max(1, Math.min(size, processors - 1)),
    maxInFlight,
    isSlow: (workspace) => hasOthers && (wasSlow(workspace) || holdsUp(workspace)),
  };
}

/** Returns the worker for a job of the workspace; null: none for now. */
export function workerFor(
  workspace: string,
  workers: ReadonlySet<Worker>,
  limits: PlacementLimits,
): Worker | null {
  const held = [...workers].filter((worker) => hasJobOf(worker, workspace)).length;
  if (!limits.isSlow(workspace)) return leastBusy(workspace, workers, limits, held < limits.share);
  if (held >= limits.slowShare) return null;
  const others = [...workers].filter((worker) => isOpen(worker) && !hasSlowJob(worker, limits));
  // One of them stays free of slow code.
  return others.length > 1 ? (others.find(({ running }) => running.size === 0) ?? null) : null;
}

/** @param takesMore whether the workspace may use workers without jobs of its own */
function leastBusy(
  workspace: string,
  workers: ReadonlySet<Worker>,
  limits: PlacementLimits,
  takesMore: boolean,
): Worker | null {
  let best: { worker: Worker; load: number } | null = null;
  for (const worker of workers) {
    if (!isOpen(worker) || worker.running.size >= limits.maxInFlight) continue;
    if (!takesMore && !hasJobOf(worker, workspace)) continue;
    // A job behind a slow one waits longer than behind many others.
    const load = worker.running.size + (hasSlowJob(worker, limits) ? limits.maxInFlight : 0);
    if (best === null || load < best.load) best = { worker, load };
  }
  return best?.worker ?? null;
}

function isOpen({ ready, retired, stalled }: Worker): boolean {
  return ready && !retired && !stalled;
}

function isHeldUpBy(worker: Worker, workspace: string): boolean {
  return worker.stalled && headOf(worker)?.workspace === workspace;
}

/** Jobs behind one that holds its worker up have gone elsewhere. */
function hasJobOf(worker: Worker, workspace: string): boolean {
  if (worker.stalled) return isHeldUpBy(worker, workspace);
  for (const entry of worker.running.values()) if (entry.workspace === workspace) return true;
  return false;
}

function hasSlowJob({ running }: Worker, { isSlow }: PlacementLimits): boolean {
  for (const { workspace } of running.values()) if (isSlow(workspace)) return true;
  return false;
}
