/**
 * Asks for starts of steps with limits: one short transaction, serialized per key across all engines.
 *
 * A grant is short-lived: the commit that claims the step claims it, or it expires.
 */
import { withStarts } from '../../core/limits/rate-window.ts';
import { decideRequests, type LimitedRequest } from '../../core/limits/step-limit.ts';
import type { Pool, Tx } from '../../db/connection/client.ts';
import { transact } from '../../db/connection/transact.ts';
import {
  dropStaleGrants,
  forgetLimits,
  type GrantInsert,
  insertGrants,
  type LimitRow,
  lockLimits,
  type MeasuredUse,
  readAskingSteps,
  readLimitUses,
  writeStarts,
} from '../../db/step-limit.ts';

/** An asking step of one workspace. */
export interface Asking extends LimitedRequest {
  readonly workspaceId: string | null;
}

export type Answer =
  /** It may be claimed for `leftMs` milliseconds; null: as long as a grant lasts. */
  | { readonly verdict: 'granted'; readonly leftMs: number | null }
  | { readonly verdict: 'held'; readonly retryAfterMs: number | null }
  /** It cannot be claimed any more, or another engine is about to claim it. */
  | { readonly verdict: 'gone' };

type NamedLimit = LimitRow & { readonly perMs: number | null };

const GONE: Answer = { verdict: 'gone' };
const MAX_SHOWN_KEY_LENGTH = 200;

type ShownText = (text: string, max: number) => string;

export class StepLimits {
  readonly #pool: Pool;
  readonly #owner: string;
  readonly #shown: ShownText;

  /** @param owner the engine's id; @param shown returns a key as it may be stored: masked and cut to a length */
  constructor(pool: Pool, owner: string, shown: ShownText) {
    this.#pool = pool;
    this.#owner = owner;
    this.#shown = shown;
  }

  /** Returns answers in the order of the requests; earlier ones have precedence when a limit cannot cover all. */
  ask(requests: readonly Asking[]): Promise<Answer[]> {
    return transact(this.#pool, (tx) => this.#askWithin(tx, requests));
  }

  /** Deletes unused grants and limits. */
  forget(): Promise<void> {
    return forgetLimits(this.#pool);
  }

  async #askWithin(tx: Tx, requests: readonly Asking[]): Promise<Answer[]> {
    const limits = this.#limitsOf(requests);
    const uses = await this.#lockAndMeasure(tx, [...limits.values()]);
    const steps = await readAskingSteps(
      tx,
      requests.map(({ stepId }) => stepId),
    );
    const answers = new Map<Asking, Answer>();
    for (const request of requests) {
      const { claimable, grant } = steps.get(request.stepId)!;
      if (!claimable || (grant !== null && grant.owner !== this.#owner)) answers.set(request, GONE);
      else if (grant !== null && grant.limitId === (request.concurrency?.id ?? null))
        answers.set(request, { verdict: 'granted', leftMs: grant.leftMs });
    }
    const open = requests.filter((request) => !answers.has(request));
    const decisions = decideRequests(open, uses);
    for (const [at, decision] of decisions.entries())
      answers.set(open[at]!, answerTo(open[at]!, decision, uses));
    await this.#write(
      tx,
      open.filter((_, at) => decisions[at]!.granted),
      uses,
    );
    return requests.map((request) => answers.get(request)!);
  }

  async #lockAndMeasure(tx: Tx, limits: readonly NamedLimit[]): Promise<Map<string, MeasuredUse>> {
    if (limits.length === 0) return new Map();
    await lockLimits(tx, limits);
    await dropStaleGrants(
      tx,
      limits.map(({ id }) => id),
    );
    return readLimitUses(tx, limits);
  }

  #limitsOf(requests: readonly Asking[]): Map<string, NamedLimit> {
    const limits = new Map<string, NamedLimit>();
    for (const { workspaceId, concurrency, rate } of requests) {
      for (const limit of [concurrency, rate]) {
        if (limit === null || limits.has(limit.id)) continue;
        const { id, perMs } = limit;
        const kind = perMs === null ? 'concurrency' : 'rate';
        limits.set(id, { id, kind, workspaceId, key: this.#shown(limit.key, MAX_SHOWN_KEY_LENGTH), perMs });
      }
    }
    return limits;
  }

  async #write(tx: Tx, granted: readonly Asking[], uses: ReadonlyMap<string, MeasuredUse>): Promise<void> {
    if (granted.length === 0) return;
    const grants: GrantInsert[] = granted.map(({ stepId, concurrency, rate }) => ({
      stepId,
      limitId: concurrency?.id ?? null,
      endsMs: rate === null ? null : uses.get(rate.id)!.window!.endsMs,
    }));
    await insertGrants(tx, this.#owner, grants);
    const byRate = Map.groupBy(
      granted.filter(({ rate }) => rate !== null),
      ({ rate }) => rate!.id,
    );
    if (byRate.size === 0) return;
    await writeStarts(
      tx,
      [...byRate].map(([id, { 0: first, length }]) => {
        const { slices, endsMs } = uses.get(id)!.window!;
        return { id, perMs: first!.rate!.perMs!, slices: withStarts(slices, endsMs, length) };
      }),
    );
  }
}

function answerTo(
  { rate }: Asking,
  decision: ReturnType<typeof decideRequests>[number],
  uses: ReadonlyMap<string, MeasuredUse>,
): Answer {
  if (!decision.granted) return { verdict: 'held', retryAfterMs: decision.retryAfterMs };
  return { verdict: 'granted', leftMs: rate === null ? null : uses.get(rate.id)!.window!.leftMs };
}
