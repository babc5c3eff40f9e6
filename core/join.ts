/**
 * Decides whether a join fires, is skipped, or still waits.
 *
 * | join        | fires                                    | is skipped                       |
 * |-------------|------------------------------------------|----------------------------------|
 * | all         | every edge resolved, at least one live   | every edge dead                  |
 * | atLeast n   | n edges live                             | n can no longer be reached       |
 */
import type { Join } from './template.ts';

export type JoinDecision = 'fire' | 'skip' | 'wait';

/** @param edges number of incoming edges @param resolved number of those resolved @param live number of those live */
export function decideJoin(join: Join, edges: number, resolved: number, live: number): JoinDecision {
  if (join === 'all') {
    if (resolved < edges) return 'wait';
    return live > 0 ? 'fire' : 'skip';
  }
  if (live >= join) return 'fire';
  const dead = resolved - live;
  return edges - dead < join ? 'skip' : 'wait';
}
