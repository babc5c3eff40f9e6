/**
 * Every order in which the statements of a few sessions can reach the database.
 *
 * A session asks for its turn before each statement (or transaction that is sent in one piece). The schedule gives
 * turns one at a time: the next one is given when the session has its answer and asks again, is done, or is blocked by
 * a lock of another one. `explore` runs the same work once for each schedule there is, depth first.
 */
import type pg from 'pg';

/** A name that the session's connections have as their application name. */
export type SessionName = string;

export class Schedule {
  readonly #looker: pg.Client;
  readonly #choices: readonly number[];
  readonly #made: { choice: number; of: number }[] = [];
  /** Statements that wait for their turn: a session may send several side by side, on connections of its own. */
  readonly #waiting = new Map<SessionName, (() => void)[]>();
  readonly #sent = new Map<SessionName, Promise<unknown>>();
  #free = true;

  constructor(looker: pg.Client, choices: readonly number[]) {
    this.#looker = looker;
    this.#choices = choices;
  }

  /** What was chosen, of how many. */
  get made(): readonly { choice: number; of: number }[] {
    return this.#made;
  }

  /** Sends a session's statement when its turn has come. */
  async send<T>(session: SessionName, statement: () => Promise<T>): Promise<T> {
    if (!this.#free)
      await new Promise<void>((go) =>
        this.#waiting.set(session, [...(this.#waiting.get(session) ?? []), go]),
      );
    const answer = statement();
    const sent = answer.then(
      () => {},
      () => {},
    );
    this.#sent.set(session, sent);
    await sent;
    if (this.#sent.get(session) === sent) this.#sent.delete(session);
    return answer;
  }

  /** Runs the works side by side in this order of turns. `isQuiet`: the session has nothing more to send by itself. */
  async run(
    works: ReadonlyMap<SessionName, { begin(): Promise<unknown>; isQuiet(): boolean }>,
  ): Promise<void> {
    this.#free = false;
    const over = new Set<SessionName>();
    const running = [...works].map(async ([name, { begin }]) => {
      await begin();
      over.add(name);
    });
    const isDone = (name: SessionName) => over.has(name) && works.get(name)!.isQuiet();
    for (;;) {
      const blocked = await this.#rest(works.keys(), isDone);
      const ready = [...this.#waiting.keys()].sort();
      if (ready.length === 0) {
        if (blocked.size === 0) break;
        await Promise.race([...blocked].map((name) => this.#sent.get(name)));
        continue;
      }
      const choice = Math.min(this.#choices[this.#made.length] ?? 0, ready.length - 1);
      this.#made.push({ choice, of: ready.length });
      const name = ready[choice]!;
      const [go, ...others] = this.#waiting.get(name)!;
      if (others.length === 0) this.#waiting.delete(name);
      else this.#waiting.set(name, others);
      go!();
    }
    this.#free = true;
    await Promise.all(running);
  }

  /** Resolves when every session asks for its turn, is done, or is blocked: answers the blocked ones. */
  async #rest(
    names: Iterable<SessionName>,
    isDone: (name: SessionName) => boolean,
  ): Promise<Set<SessionName>> {
    const all = [...names];
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const busy = all.filter((name) => !this.#waiting.has(name) && !isDone(name));
      if (busy.length === 0) return new Set();
      if (!busy.every((name) => this.#sent.has(name))) continue;
      const blocked = await this.#blocked(busy);
      if (busy.every((name) => blocked.has(name) && this.#sent.has(name))) return blocked;
    }
  }

  async #blocked(names: readonly SessionName[]): Promise<Set<SessionName>> {
    const { rows } = await this.#looker.query({
      name: 'blocked',
      text: `select distinct application_name as name from pg_stat_activity
              where datname = current_database() and application_name = any($1) and wait_event_type = 'Lock'
                and cardinality(pg_blocking_pids(pid)) > 0`,
      values: [names],
    });
    return new Set(rows.map(({ name }) => name));
  }
}

/** Runs the work under every schedule; answers how many there were. */
export async function explore(
  looker: pg.Client,
  work: (schedule: Schedule) => Promise<void>,
): Promise<number> {
  let choices: number[] | null = [];
  let count = 0;
  while (choices !== null) {
    const schedule: Schedule = new Schedule(looker, choices);
    try {
      await work(schedule);
    } catch (error) {
      const order = schedule.made.map(({ choice, of }) => `${choice}/${of}`).join(' ');
      throw new Error(`In the order ${order}: ${(error as Error).message}`, { cause: error });
    }
    count += 1;
    choices = following(schedule.made);
  }
  return count;
}

/** The choices after these; null: there are none. */
function following(made: readonly { choice: number; of: number }[]): number[] | null {
  const last = made.findLastIndex(({ choice, of }) => choice + 1 < of);
  if (last < 0) return null;
  return [...made.slice(0, last).map(({ choice }) => choice), made[last]!.choice + 1];
}
