/**
 * Makes a value of a request ready to be stored as an output: checked and masked.
 */
import { EngineError } from '../core/problem.ts';
import type { JsonPayload } from '../payload/json-payload.ts';
import { NotStorable, type OutputStore } from '../payload/output-store.ts';

/** @param pointer place of the value in the request @throws EngineError('not_storable') */
export async function storable(store: OutputStore, value: unknown, pointer: string): Promise<JsonPayload> {
  try {
    return await store.payload(value);
  } catch (error) {
    if (!(error instanceof NotStorable)) throw error;
    throw new EngineError('not_storable', error.message, [
      { pointer, code: 'not_storable', message: error.message },
    ]);
  }
}
