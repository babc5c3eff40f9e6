/**
 * The notification by which a commit tells the other engines of itself. It is a hint: everything is found within a second
 * without it.
 *
 * Words divided by spaces: `from=<engine>`, `ready`, `freed`, `ended=<execution>,...` or a mere `ended` for more than
 * can be named. Whoever starts executions in SQL sends `ready` alone.
 */
import { type DecidedUnit, isPending } from './unit.ts';

export interface Notification {
  /** The engine's id; null: not an engine. */
  readonly from: string | null;
  /** Something can be taken from the queues, or an execution begun. */
  readonly ready: boolean;
  /** A run of a step with limits is over. */
  readonly freed: boolean;
  /** Executions that are final, or whose handlers must end; null: more than were named. */
  readonly ended: readonly string[] | null;
}

/** PostgreSQL takes payloads below 8,000 bytes. */
const MAX_NAMED = 100;

/** Returns what other engines may be waiting for; null: nothing. */
export function notificationOf(units: readonly DecidedUnit[], hasJobs: boolean, from: string): string | null {
  const ended = units
    .filter(({ plan }) => plan.end !== null || plan.aborted.length > 0)
    .map(({ actor }) => actor.id);
  const words = [
    (hasJobs || units.some(isPending)) && 'ready',
    units.some(freesLimit) && 'freed',
    ended.length > MAX_NAMED ? 'ended' : ended.length > 0 && `ended=${ended.join(',')}`,
  ].filter(Boolean);
  return words.length === 0 ? null : [`from=${from}`, ...words].join(' ');
}

/** Whether a plan ends a run of a step with limits, so that one that is held back may start. */
function freesLimit({ loaded, plan }: DecidedUnit): boolean {
  if (!loaded.version.hasLimits) return false;
  return [...plan.steps].some(
    ([slot, { from, state }]) =>
      from?.status === 'running' && state.status !== 'running' && loaded.step(slot).limits !== null,
  );
}

export function readNotification(payload: string): Notification {
  const words = new Map(payload.split(' ').map(readWord));
  return {
    from: words.get('from') ?? null,
    ready: words.has('ready'),
    freed: words.has('freed'),
    ended: words.has('ended') ? (words.get('ended')?.split(',') ?? null) : [],
  };
}

function readWord(word: string): [name: string, value: string | undefined] {
  const [name, value] = word.split('=', 2);
  return [name!, value];
}
