/**
 * The request that reached a hook, as the output of its step.
 */
import type { Json, JsonObject } from '../../core/json/json.ts';
import { EngineError } from '../../core/problem.ts';
import type { JsonPayload } from '../../payload/json-payload.ts';
import { NotStorable, type OutputStore } from '../../payload/output-store.ts';
import { decodeOutput } from '../../steps/http/body.ts';
import { StepFailure } from '../../steps/step-type.ts';

export interface HookRequest {
  readonly method: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Uint8Array;
}

/** @throws EngineError('number_not_exact') */
export async function outputOf({ method, headers, query, body }: HookRequest): Promise<JsonObject> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  try {
    const decoded =
      bytes.length === 0 ? { body: null } : await decodeOutput(bytes, headers['content-type'], 'fail');
    return { method, headers: { ...headers }, query: valuesOf(query), ...decoded };
  } catch (error) {
    if (!(error instanceof StepFailure) || error.code !== 'number_not_exact') throw error;
    throw new EngineError('number_not_exact', error.message);
  }
}

/** A name that is given several times has a list. */
function valuesOf(query: URLSearchParams): JsonObject {
  const values = new Map<string, Json>();
  for (const name of new Set(query.keys())) {
    const all = query.getAll(name);
    if (name !== '__proto__') values.set(name, all.length === 1 ? all[0]! : all);
  }
  return Object.fromEntries(values);
}

/** @throws EngineError('body_too_large', 'not_storable') */
export async function storableRequest(store: OutputStore, output: unknown): Promise<JsonPayload> {
  try {
    return await store.payload(output);
  } catch (error) {
    if (!(error instanceof NotStorable)) throw error;
    throw new EngineError(error.kind === 'size' ? 'body_too_large' : 'not_storable', error.message);
  }
}
