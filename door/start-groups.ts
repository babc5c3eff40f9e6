/**
 * Starts that wait for a commit, workspaces in turn. Those with large inputs wait apart, since they go into commits of
 * their own.
 */
import { TurnQueue } from '../core/fairness/turn-queue.ts';
import { LARGE_PAYLOAD, MAX_PAYLOAD, type NewExecution } from './unit.ts';

export interface StartGroup {
  readonly starts: readonly NewExecution[];
  /** May fail because of a taken idempotency key, and therefore is committed alone. */
  readonly alone: boolean;
  readonly settle: (error: unknown) => void;
}

/** Most executions of one commit; a group is never divided. */
const MAX_STARTS = 1_000;

interface Lines {
  readonly alone: TurnQueue<StartGroup>;
  readonly together: TurnQueue<StartGroup>;
}

const newLines = (): Lines => ({ alone: new TurnQueue(), together: new TurnQueue() });

export class StartGroups {
  readonly #small = newLines();
  readonly #large = newLines();

  get isEmpty(): boolean {
    return [this.#small, this.#large].every(({ alone, together }) => alone.size + together.size === 0);
  }

  add(group: StartGroup): void {
    const isLarge = group.starts.some(({ row }) => row.inputs.length >= LARGE_PAYLOAD);
    const lines = isLarge ? this.#large : this.#small;
    (group.alone ? lines.alone : lines.together).push(group.starts[0]?.row.workspaceId ?? '', group);
  }

  /** Returns the next group that is committed alone. */
  takeAlone(isLarge: boolean): StartGroup | undefined {
    return (isLarge ? this.#large : this.#small).alone.pop();
  }

  /** Returns the groups of the next commit of others. */
  takeTogether(isLarge: boolean): StartGroup[] {
    const { together } = isLarge ? this.#large : this.#small;
    const groups: StartGroup[] = [];
    let count = 0;
    for (let length = 0; count < MAX_STARTS && length < MAX_PAYLOAD; ) {
      const group = together.pop();
      if (group === undefined) break;
      groups.push(group);
      count += group.starts.length;
      length += payloadLength(group);
    }
    return groups;
  }
}

function payloadLength({ starts }: StartGroup): number {
  return starts.reduce((sum, { row }) => sum + row.inputs.length, 0);
}
