/**
 * The notification by which a commit informs the other engines. It is a hint: without it they find everything within
 * a second.
 *
 * Words separated by spaces: `from=<engine>`, `ready`, `freed`, `mail=<view>,...`, `ended=<execution>,...` or `ended` alone
 * for more than can be named. Starts in SQL send `ready` alone.
 */
import { freesLimit } from '../core/limits/freed.ts';
import type { ViewKey } from '../core/view.ts';
import { type DecidedUnit, linesUp } from './unit.ts';

export interface Notification {
  /** The engine's id; null: not an engine. */
  readonly from: string | null;
  /** A job can be fetched, or an execution begun. */
  readonly ready: boolean;
  /** Views for which rows are in the inbox: the engine that holds one folds them. */
  readonly mail: readonly ViewKey[];
  /** A step with limits has stopped running, or a worker has left a task with limits. */
  readonly freed: boolean;
  /** Executions that are final, or whose handlers must stop; null: more than were named. */
  readonly ended: readonly string[] | null;
}

/** PostgreSQL takes payloads below 8,000 bytes. */
const MAX_NAMED = 80;

/** Returns the text for waiting engines; null: nothing concerns them. */
export function notificationOf(
  units: readonly DecidedUnit[],
  { isDue, told }: { readonly isDue: boolean; readonly told: readonly ViewKey[] },
  from: string,
): string | null {
  const ended = units.filter(endsHandlers).map(({ actor }) => actor.executionId);
  const words = [
    (isDue || units.some(linesUp)) && 'ready',
    told.length > 0 && `mail=${told.join(',')}`,
    units.some(({ loaded, plan }) => loaded.version.hasLimits && freesLimit(plan)) && 'freed',
    ended.length > MAX_NAMED ? 'ended' : ended.length > 0 && `ended=${ended.join(',')}`,
  ].filter(Boolean);
  return words.length === 0 ? null : [`from=${from}`, ...words].join(' ');
}

/** Returns whether others may wait for the execution's end, or run steps that must stop: its own, or those of scopes below. */
function endsHandlers({ plan: { end, view, aborted, scopes } }: DecidedUnit): boolean {
  if (end !== null && view.scope === null) return true;
  return aborted.length > 0 || (scopes?.endedBelow.size ?? 0) > 0;
}

export function readNotification(payload: string): Notification {
  const words = new Map(payload.split(' ').map(readWord));
  return {
    from: words.get('from') ?? null,
    ready: words.has('ready'),
    freed: words.has('freed'),
    mail: words.get('mail')?.split(',') ?? [],
    ended: words.has('ended') ? (words.get('ended')?.split(',') ?? null) : [],
  };
}

function readWord(word: string): [name: string, value: string | undefined] {
  const [name, value] = word.split('=', 2);
  return [name!, value];
}
