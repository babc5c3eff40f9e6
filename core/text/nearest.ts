/**
 * "Did you mean": the known name closest to an unknown one.
 *
 * Not for search: a name that is far from all others has no nearest.
 */

const LONGEST_NAME = 128;

/**
 * Returns the candidate with the fewest insertions, deletions, replacements and swaps of neighbours (case ignored),
 * or null when none is close enough to be a typing error. Costs about candidates x length; bound the number of calls.
 */
export function nearest(name: string, candidates: Iterable<string>): string | null {
  if (name.length > LONGEST_NAME) return null;
  const wanted = name.toLowerCase();
  let limit = name.length < 2 ? 0 : Math.min(4, Math.max(1, Math.floor(name.length / 2.5)));
  let best: string | null = null;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) > limit) continue;
    const distance = editDistance(wanted, candidate.toLowerCase(), limit);
    if (distance > limit || (best !== null && distance === limit)) continue;
    best = candidate;
    limit = distance;
    if (distance === 0) break;
  }
  return best;
}

/** Returns a sentence to append: ` Did you mean "x"?`, or '' when no name is near. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const found = nearest(name, candidates);
  return found === null ? '' : ` Did you mean "${found}"?`;
}

/**
 * Returns the optimal string alignment distance; anything above `limit` is returned as `limit + 1`. Only cells near
 * the diagonal are computed: others are above the limit.
 */
function editDistance(a: string, b: string, limit: number): number {
  const far = limit + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => Math.min(column, far));
  for (let row = 1; row <= a.length; row++) {
    const current = new Array<number>(b.length + 1).fill(far);
    if (row <= limit) current[0] = row;
    let smallest = current[0]!;
    const end = Math.min(b.length, row + limit);
    for (let column = Math.max(1, row - limit); column <= end; column++) {
      const replaced = last[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      let cost = Math.min(replaced, last[column]! + 1, current[column - 1]! + 1);
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) cost = Math.min(cost, beforeLast[column - 2]! + 1);
      current[column] = Math.min(cost, far);
      smallest = Math.min(smallest, cost);
    }
    if (smallest > limit) return far;
    beforeLast = last;
    last = current;
  }
  return last[b.length]!;
}
