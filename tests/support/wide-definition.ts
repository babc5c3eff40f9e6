/**
 * Definitions for volume: many chains side by side, joined at the end.
 */
import type { JsonObject } from '../../core/json/json.ts';

/** `width` chains of `length` steps of a type, whose ends one `merge` joins when `joined`: width * length + 1 steps. */
export function chainsSideBySide(width: number, length: number, type: string, joined = true): JsonObject {
  const steps: JsonObject = {};
  const ends: string[] = [];
  for (let chain = 0; chain < width; chain += 1) {
    for (let at = 0; at < length; at += 1) {
      steps[`c${chain}_${at}`] = at === 0 ? { type } : { type, needs: [`c${chain}_${at - 1}`] };
    }
    ends.push(`c${chain}_${length - 1}`);
  }
  if (joined) steps.joined = { type, needs: ends };
  return { steps };
}

/** `count` roots of a type with one parameter set, joined by `join`. */
export function fanIn(count: number, type: string, parameters: JsonObject, join: JsonObject): JsonObject {
  const keys = Array.from({ length: count }, (_, at) => `p${at}`);
  return {
    steps: {
      ...Object.fromEntries(keys.map((key) => [key, { type, with: parameters }])),
      join: { needs: keys, ...join },
    },
  };
}
