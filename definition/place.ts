/**
 * The values of a document at a pattern: a JSON pointer in which `*` stands for any segment.
 */
import type { Json } from '../core/json/json.ts';
import { segmentKey } from '../core/json/pointer.ts';
import { pointerSegment } from '../core/problem.ts';

export interface Place {
  readonly value: Json;
  readonly pointer: string;
  /** The segments that `*` stands for, as they are in the pointer. */
  readonly stars: readonly string[];
}

/** Returns the values at a pattern, in the order of the document. */
export function placesAt(root: Json, pattern: string): Place[] {
  let places: Place[] = [{ value: root, pointer: '', stars: [] }];
  for (const segment of pattern.split('/').slice(1)) {
    places = places.flatMap((place) => (segment === '*' ? below(place) : (member(place, segment) ?? [])));
  }
  return places;
}

/** Returns the value where the pattern has these segments for `*`; undefined: there is none. */
export function valueAt(root: Json, pattern: string, stars: readonly string[]): Place | undefined {
  let place: Place | undefined = { value: root, pointer: '', stars: [] };
  let star = 0;
  for (const segment of pattern.split('/').slice(1)) {
    place = place && member(place, segment === '*' ? stars[star++]! : segment);
  }
  return place;
}

function below({ value, pointer, stars }: Place): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).map(([key, item]) => {
    const segment = pointerSegment(key);
    return { value: item as Json, pointer: pointer + segment, stars: [...stars, segment.slice(1)] };
  });
}

function member({ value, pointer, stars }: Place, segment: string): Place | undefined {
  const key = segmentKey(segment);
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return { value: (value as Record<string, Json>)[key]!, pointer: `${pointer}/${segment}`, stars };
}
