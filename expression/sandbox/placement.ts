/**
 * Which worker a job of a workspace goes to.
 *
 * A workspace with slow jobs leaves a worker to the others, once there are others: it holds so many workers at most, and
 * while one of them is held up by its job it takes no more unless another one stays free.
 */
import { headOf, type Worker } from './job.ts';

export interface PlacementLimits {
  /** Workers that one workspace may hold. */
  readonly share: number;
  /** Workers that stay free for others. */
  readonly kept: number;
  /** Jobs that a worker may have at once. */
  readonly maxInFlight: number;
}

/** @param hasOthers whether there are several workspaces */
export function placementLimits(
  { size, maxInFlight }: { size: number; maxInFlight: number },
  hasOthers: boolean,
): PlacementLimits {
  return { share: hasOthers ? size : size + 1, kept: hasOthers ? 1 : 0, maxInFlight };
}

/** The worker with the least to do among those that the workspace may use; null: none. */
export function workerFor(
  workspace: string,
  workers: ReadonlySet<Worker>,
  limits: PlacementLimits,
): Worker | null {
  const takesMore = mayHoldMore(workspace, workers, limits);
  let best: Worker | null = null;
  for (const worker of workers) {
    if (!isOpen(worker) || worker.running.size >= limits.maxInFlight) continue;
    if (!takesMore && !hasJobOf(worker, workspace)) continue;
    if (best === null || worker.running.size < best.running.size) best = worker;
  }
  return best;
}

function mayHoldMore(
  workspace: string,
  workers: ReadonlySet<Worker>,
  { share, kept }: PlacementLimits,
): boolean {
  const held = [...workers].filter((worker) => hasJobOf(worker, workspace));
  if (held.length === 0) return true;
  if (held.length >= share) return false;
  if (!held.some(({ stalled }) => stalled)) return true;
  return [...workers].filter((worker) => isOpen(worker) && worker.running.size === 0).length > kept;
}

function isOpen({ ready, retired, stalled }: Worker): boolean {
  return ready && !retired && !stalled;
}

/** Jobs behind one that holds its worker up have gone elsewhere. */
function hasJobOf(worker: Worker, workspace: string): boolean {
  if (worker.stalled) return headOf(worker)?.workspace === workspace;
  for (const entry of worker.running.values()) if (entry.workspace === workspace) return true;
  return false;
}
