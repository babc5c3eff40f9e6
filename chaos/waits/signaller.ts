/**
 * The one who answers waits: sends every step that waits its signal, over HTTP to any engine or by the SQL function, often
 * twice with the same id. Some signals come before their step waits.
 *
 * The triggers of transitions.ts write down each wait. A signal is sent until the answer is clear, so none is missing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { JsonObject } from '../../core/json/json.ts';
import type { Pool } from '../../db/connection/client.ts';
import { effectOutput } from '../behaviour.ts';
import { type Chance, chance } from '../chance.ts';
import type { Fleet } from '../stage/fleet.ts';
import { signalName } from './names.ts';

export interface SignallerParts {
  readonly seed: number;
  readonly fleet: Fleet;
  /** Past the faulty wire; the database may still be away. */
  readonly admin: Pool;
}

export interface SignalCounts {
  /** Answered as new. */
  sent: number;
  /** Answered as known before. */
  repeated: number;
  /** The execution took no more signals. */
  refused: number;
}

interface Signal {
  readonly executionId: string;
  readonly name: string;
  readonly id: string;
  readonly payload: JsonObject;
}

const LOOK_MS = 150;
const AT_ONCE = 20;
const CALL_TIMEOUT_MS = 5_000;
/** Refusals that an execution which ends meanwhile explains. */
const TOO_LATE = 'wrong_state';
const CODE = /^[a-z_]+$/;

export class Signaller {
  readonly counts: SignalCounts = { sent: 0, repeated: 0, refused: 0 };
  /** Answers that must not occur. */
  readonly complaints: string[] = [];
  readonly #parts: SignallerParts;
  readonly #chance: Chance;
  #open = true;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: SignallerParts) {
    this.#parts = parts;
    this.#chance = chance(parts.seed, 'signaller');
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#open = false;
    await this.#running;
  }

  /** Sends a signal whose step may not wait yet. */
  async sendEarly(executionId: string, place: string, seed: number): Promise<void> {
    const payload = effectOutput(seed, place);
    await this.#send({ executionId, name: signalName(place), id: `early ${place}`, payload });
  }

  async #run(): Promise<void> {
    while (this.#open) {
      const waits = await this.#readWaits().catch(() => []);
      const sent = await Promise.all(waits.map((wait) => this.#answer(wait)));
      const done = waits.filter((_, at) => sent[at]).map(({ position }) => position);
      await this.#markDone(done).catch(() => {});
      if (done.length < AT_ONCE) await sleep(LOOK_MS);
    }
  }

  async #readWaits(): Promise<Wait[]> {
    const { rows } = await this.#parts.admin.query<Wait>(
      `select w.position, w.execution_id, w.step_id, w.attempt, w.name, (e.inputs ->> 'seed')::float8 as seed
         from chaos.waits w join workflow_executions e on e.id = w.execution_id
        where not w.done and w.name like 'go-%' order by w.position limit ${AT_ONCE}`,
    );
    return rows;
  }

  /** A wait that is read again was answered before: its signal has the same id. */
  async #markDone(positions: readonly string[]): Promise<void> {
    if (positions.length === 0) return;
    await this.#parts.admin.query('update chaos.waits set done = true where position = any($1::bigint[])', [
      positions,
    ]);
  }

  /** Returns whether the answer was clear. */
  async #answer({ execution_id, step_id, attempt, name, seed }: Wait): Promise<boolean> {
    const payload = effectOutput(seed, name.slice(signalName('').length));
    const signal = { executionId: execution_id, name, id: `${step_id} ${attempt}`, payload };
    const times = this.#chance.happens(0.3) ? 2 : 1;
    const clear = await Promise.all(Array.from({ length: times }, () => this.#send(signal)));
    return clear.every(Boolean);
  }

  /** Returns false when it was given up. */
  async #send(signal: Signal): Promise<boolean> {
    while (this.#open) {
      const isHttp = this.#chance.happens(0.6);
      const answer = await (isHttp ? this.#sendOverHttp(signal) : this.#sendBySql(signal)).catch(() => null);
      if (answer !== null) {
        this.counts[answer] += 1;
        return true;
      }
      await sleep(20 + this.#chance.below(200));
    }
    return false;
  }

  async #sendOverHttp({ executionId, name, id, payload }: Signal): Promise<keyof SignalCounts | null> {
    const engines = this.#parts.fleet.ready;
    if (engines.length === 0) return null;
    const response = await fetch(`${this.#chance.pick(engines).url}/api/v1/execution/signal`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ execution_id: executionId, signal: name, signal_id: id, payload }),
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    const answer = (await response.json()) as { code?: string; duplicate?: boolean };
    if (response.status === 200) return answer.duplicate === true ? 'repeated' : 'sent';
    return this.#refusal(answer.code ?? '', response.status);
  }

  async #sendBySql({ executionId, name, id, payload }: Signal): Promise<keyof SignalCounts | null> {
    try {
      const { rows } = await this.#parts.admin.query(
        'select workflow_signal($1, $2, $3::jsonb, $4) as is_new',
        [executionId, name, JSON.stringify(payload), id],
      );
      return rows[0].is_new ? 'sent' : 'repeated';
    } catch (error) {
      // A database that starts or stops explains itself in sentences.
      const { detail = '' } = error as { detail?: string };
      return CODE.test(detail) ? this.#refusal(detail, 409) : null;
    }
  }

  /** Null: not clear. */
  #refusal(code: string, status: number): keyof SignalCounts | null {
    if (code === TOO_LATE) return 'refused';
    if (status >= 500 || status === 429) return null;
    this.complaints.push(`a signal was refused: ${status} ${code}`);
    return 'refused';
  }
}

interface Wait {
  readonly position: string;
  readonly execution_id: string;
  readonly step_id: string;
  readonly attempt: number;
  readonly name: string;
  readonly seed: number;
}
