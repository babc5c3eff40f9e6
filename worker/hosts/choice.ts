/**
 * Which host a run goes to.
 *
 * With several workspaces, one of them uses all shared hosts but one, and a run goes where others of its workspace are
 * rather than where those of others are: handlers that never yield hold up the runs beside them.
 */
import type { StepHost } from './host.ts';

export interface HostChoice {
  /** Hosts in use, also those that do not answer. */
  readonly hosts: ReadonlySet<StepHost>;
  /** Hosts that one workspace may use. */
  readonly share: number;
  /** Whether there will be another host soon, if a run waits for it. */
  readonly mayGrow: boolean;
  isUsable(host: StepHost): boolean;
}

/** Returns the host for a run of the workspace; null: none for now. */
export function hostFor(workspace: string, { hosts, share, mayGrow, isUsable }: HostChoice): StepHost | null {
  const own = [...hosts].filter((host) => hasRunOf(host, workspace));
  const candidates = own.length < share ? hosts : own;
  let best: { host: StepHost; rank: number } | null = null;
  for (const host of candidates) {
    if (!host.ready || !isUsable(host) || (mayGrow && hasRunOfOthers(host, workspace))) continue;
    const rank = rankFor(workspace, host);
    if (best === null || rank < best.rank) best = { host, rank };
  }
  return best?.host ?? null;
}

const SILENT = 1_000;
const SHARED = 1_000_000_000;

/** Hosts with runs of other workspaces come last, and before them those that owe a sign of life. */
function rankFor(workspace: string, host: StepHost): number {
  const isShared = hasRunOfOthers(host, workspace);
  return host.runs.size + Math.min(host.silentMs, SILENT) * SILENT + (isShared ? SHARED : 0);
}

function hasRunOfOthers({ runs }: StepHost, workspace: string): boolean {
  for (const run of runs.values()) if (run.workspace !== workspace) return true;
  return false;
}

function hasRunOf({ runs }: StepHost, workspace: string): boolean {
  for (const run of runs.values()) if (run.workspace === workspace) return true;
  return false;
}
