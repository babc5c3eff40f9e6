/**
 * Answers the questions that the handler of a step may ask about the scopes that it holds.
 */
import type { Json } from '../../core/json/json.ts';
import type { HeldScopes } from '../../core/scopes/held-scopes.ts';
import { failedResult, tooLarge } from '../../core/scopes/list-size.ts';
import type { Db } from '../../db/connection/client.ts';
import { readResults, readUnfinished, type ScopeResult } from '../../db/scopes/results.ts';
import { JsonPayload } from '../../payload/json-payload.ts';
import { type ScopeAccess, type ScopeOutcome, StepFailure } from '../../steps/step-type.ts';

/** Results that are read at a time. */
const PAGE = 500;

export class HeldScopeAccess implements ScopeAccess {
  readonly held: HeldScopes | null;
  readonly #db: Db;
  readonly #holderId: string;
  readonly #maxBytes: number;

  constructor(db: Db, holderId: string, held: HeldScopes | null, maxBytes: number) {
    this.#db = db;
    this.#holderId = holderId;
    this.held = held;
    this.#maxBytes = maxBytes;
  }

  unfinished(): Promise<number[]> {
    return readUnfinished(this.#db, this.#holderId);
  }

  async list(): Promise<JsonPayload> {
    const texts: string[] = [];
    const isMeasured = this.held?.list !== undefined;
    let bytes = 2;
    for (;;) {
      const results = await readResults(this.#db, this.#holderId, texts.length, PAGE);
      for (const result of results) {
        const text = textOf(result);
        bytes += Buffer.byteLength(text) + 1;
        if (!isMeasured && bytes > this.#maxBytes)
          throw new StepFailure('output_not_storable', tooLarge(this.#maxBytes));
        texts.push(text);
      }
      if (results.length < PAGE) return new JsonPayload(`[${texts.join(',')}]`);
    }
  }

  async results(from: number): Promise<ScopeOutcome[]> {
    const outcomes: ScopeOutcome[] = [];
    for (;;) {
      const page = await readResults(this.#db, this.#holderId, from + outcomes.length, PAGE);
      outcomes.push(...page.map(({ status, outputs, error }) => ({ status, outputs, error })));
      if (page.length < PAGE) return outcomes;
    }
  }

  async last(): Promise<Json> {
    const { next = 0 } = this.held ?? {};
    if (next === 0) return null;
    const [result] = await readResults(this.#db, this.#holderId, next - 1, 1);
    if (result?.outputs == null) return null;
    const payload = new JsonPayload(result.outputs);
    await payload.parse();
    return payload.value;
  }
}

function textOf({ status, outputs, error }: ScopeResult): string {
  if (status === 'completed') return outputs ?? 'null';
  return failedResult(error ?? { code: 'cancelled', message: 'The scope was cancelled.' });
}
