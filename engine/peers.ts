/**
 * Links this engine with the others on its database: heartbeat, lease, notifications, and the
 * takeover from dead engines.
 */

import { hostname } from 'node:os';
import type { Config } from '../config/config.ts';
import { executionOf, type ViewKey } from '../core/view.ts';
import { holdLease, leaseIsFree } from '../db/connection/lease.ts';
import { listen } from '../db/connection/listen.ts';
import type { StandingConnection } from '../db/connection/standing-connection.ts';
import { whenUsable } from '../db/connection/when-usable.ts';
import {
  type EngineRow,
  msUntilLate,
  type OwnedStep,
  registerEngine,
  unregisterEngine,
} from '../db/engine.ts';
import { type SignsOfLife, signsOfLife } from '../db/engine-alive.ts';
import type { Committer } from '../door/committer.ts';
import type { ExecutionDoor } from '../door/execution-door.ts';
import type { LockedCommit } from '../door/locked-commit.ts';
import { readNotification } from '../door/notification.ts';
import { reconsider } from '../door/reconsider.ts';
import { PeerWatch } from '../maintenance/peer-watch.ts';
import { PulseLoop } from '../maintenance/pulse-loop.ts';
import packageJson from '../package.json' with { type: 'json' };
import { findUnknownSteps } from '../services/doctor/held-steps.ts';
import type { ExecutionWaiters } from '../services/execution-waiters.ts';
import type { EventFeeds } from '../services/history/event-feeds.ts';
import { takeOver } from '../services/takeover.ts';
import type { Log } from '../telemetry/log.ts';
import type { TemplateVersions } from '../template/versions.ts';
import { waitingFor } from './bounds.ts';
import type { Database } from './database.ts';
import type { Undo } from './undo.ts';

/** This engine's worker, as used by the handling of peers. */
export interface PeersWorker {
  readonly capacity: number;
  readonly dispatcher: {
    readonly runningCount: number;
    lose(stepIds: readonly string[], graceMs: number): void;
  };
  readonly committer: Committer;
  readonly locked: LockedCommit;
  readonly door: ExecutionDoor;
  readonly gate: { endedElsewhere(): void };
  readonly consumer: { wake(): void };
  readonly feeds: Pick<EventFeeds, 'wake' | 'lookElsewhere'>;
  readonly heldInbox: { heard(views: readonly ViewKey[]): void };
  /** Executions of which this process runs steps. */
  readonly runningExecutions: readonly string[];
  /** Steps running in this process that may lose a race. */
  readonly racingSteps: readonly string[];
  jobsAreDue(): Promise<void>;
  stopHandlers(final: ReadonlySet<string>, windingDown: ReadonlySet<string>): void;
}

export interface PeersParts {
  readonly engineId: string;
  readonly config: Config;
  readonly database: Database;
  readonly steps: {
    readonly versions: TemplateVersions;
    readonly stepTypes: ReadonlyMap<string, unknown>;
    /** Names of custom step types. */
    readonly userTypes: ReadonlySet<string>;
  };
  readonly worker: PeersWorker;
  readonly waiters: ExecutionWaiters;
  readonly undo: Undo;
  readonly log: Log;
  /** The database has answered a heartbeat. */
  onAnswer(): void;
  onError(error: unknown): void;
}

const CHANNEL = 'execution_engine';
/** Executions named in one log line. */
const MAX_NAMED = 5;

/**
 * Registers this engine, and listens to the others. An engine that stops first stops judging and listening to peers;
 * it counts as alive until it will write nothing more.
 */
export async function joinPeers(parts: PeersParts): Promise<PulseLoop> {
  const { engineId, config, database, steps, worker, undo, log, onError } = parts;
  const { workPool, pulsePool, route } = database;
  const engine: EngineRow = {
    id: engineId,
    role: config.role,
    host: hostname(),
    pid: process.pid,
    version: packageJson.version,
    capacity: worker.capacity,
    stepTypes: [...steps.stepTypes.keys()],
  };
  let lease: StandingConnection | null = null;
  database.onWritten(async () => {
    await unregisterEngine(workPool, engineId).catch(onError);
    await lease?.close();
  });
  // In the session of its heartbeats: it counts as heard from the beginning of that session.
  const signs = signsOfLife(route.features.advisoryLocks, !route.work.session.pooled);
  await whenUsable(() => registerEngine(pulsePool, engine, signs), waitingFor(log));
  // A lease is a lock held by a session. Without locks or sessions, only the heartbeat shows that an engine is alive.
  const leaseUrl = route.features.advisoryLocks ? route.sessionUrl : null;
  if (leaseUrl !== null) lease = holdLease(leaseUrl, engineId, onError);
  const watch =
    leaseUrl === null
      ? null
      : new PeerWatch({
          engineId,
          leaseIsFree: (id, signal) =>
            leaseIsFree(leaseUrl, id, { applicationName: `engine/${engineId}/watch` }, signal),
          msUntilLate: (id) => msUntilLate(pulsePool, id),
          search: () => pulse.search(),
          onError,
        });
  const pulse = createPulse(parts, { engine, signs, lease, watch });
  pulsePool.on('error', () => pulse.sessionLost());
  const listener = listenToPeers(parts, pulse);
  await undo.add(async () => {
    await pulse.close();
    watch?.close();
    await listener?.close();
  });
  await listener?.ready;
  return pulse;
}

interface PulseParts {
  readonly engine: EngineRow;
  readonly signs: SignsOfLife;
  readonly lease: StandingConnection | null;
  readonly watch: PeerWatch | null;
}

function createPulse(parts: PeersParts, { engine, signs, lease, watch }: PulseParts): PulseLoop {
  const { database, worker, waiters, log, onError } = parts;
  return new PulseLoop({
    db: database.pulsePool,
    engine,
    signs,
    jobTable: database.jobTable,
    runningCount: () => worker.dispatcher.runningCount,
    hasLease: () => lease?.isOpen ?? false,
    watched: () => [...worker.runningExecutions, ...waiters.ids],
    racing: () => worker.racingSteps,
    onLost: (ids) => worker.dispatcher.lose(ids, parts.config.limits.stopGraceMs),
    onJobs: () => void worker.jobsAreDue(),
    onEnded: ({ final, windingDown }) => {
      for (const executionId of [...final, ...windingDown]) waiters.wake(executionId);
      worker.stopHandlers(new Set(final), new Set(windingDown));
    },
    onPeers: (ids) => {
      watch?.watch(ids);
      if (ids.length > 0) worker.feeds.lookElsewhere().catch(onError);
    },
    onAnswer: parts.onAnswer,
    onSilence: (ms, hadPeers) =>
      log.warn(
        { engine: parts.engineId, silent_ms: Math.round(ms) },
        hadPeers
          ? 'This engine was silent; others may have taken over its steps, and refuse what comes of them here'
          : 'This engine was silent: its process or its database stood still. It is the only engine, and its steps go on',
      ),
    onOrphans: (found) => {
      for (const [owner, { length }] of Map.groupBy(found, (step) => step.owner))
        log.warn({ engine: owner, steps: length }, 'An engine is gone; its steps are taken over');
    },
    unreadable: () => parts.steps.versions.unreadable,
    rescue: (step) => rescue(parts, step),
    releaseUnknown: async () => {
      const unknown = await findUnknownSteps(database.workPool, worker.committer, null);
      const views = new Set(unknown.map(({ view, executionId }) => view ?? executionId!));
      await reconsider(worker.committer.actors, worker.locked, views);
      if (views.size === 0) return;
      const executions = [...new Set([...views].map(executionOf))].slice(0, MAX_NAMED);
      log.warn({ steps: unknown.length, executions }, 'Steps that nobody here ran were given back');
    },
    onError,
  });
}

function rescue({ database, steps, worker }: PeersParts, step: OwnedStep): Promise<void> {
  // Types that are unknown here are an operator's.
  const isBuiltIn = (type: string) => steps.stepTypes.has(type) && !steps.userTypes.has(type);
  const options = { db: database.workPool, door: worker.door, versions: steps.versions, isBuiltIn };
  return takeOver(options, step);
}

/** Notifications are hints: without them everything is found within a second. */
function listenToPeers({ engineId, database, worker, onError }: PeersParts, pulse: PulseLoop) {
  const { features, sessionUrl } = database.route;
  if (!features.listen || sessionUrl === null) return null;
  const onNotify = (_channel: string, payload: string) => {
    const { from, ready, freed, mail, ended } = readNotification(payload);
    if (from === engineId) return;
    if (ready) worker.consumer.wake();
    if (mail.length > 0) worker.heldInbox.heard(mail);
    if (freed) worker.gate.endedElsewhere();
    if (ended === null || ended.length > 0) pulse.lookForEnded(ended);
    if (ended !== null) worker.feeds.wake(ended);
  };
  return listen(sessionUrl, [CHANNEL], onNotify, () => worker.consumer.wake(), {
    applicationName: `engine/${engineId}/listen`,
    onError,
  });
}
