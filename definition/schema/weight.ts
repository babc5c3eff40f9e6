/**
 * How large a value is, told by looking at no more of it than is asked.
 */

/** Whether a value has more objects, arrays and scalars; looks at no more of them than that. */
export function isLargerThan(value: unknown, most: number): boolean {
  const open: unknown[] = [value];
  for (let count = 0; open.length > 0; count++) {
    if (count > most) return true;
    const next = open.pop();
    if (typeof next !== 'object' || next === null) continue;
    const items = Array.isArray(next) ? next : Object.values(next);
    if (items.length > most) return true;
    for (const item of items) open.push(item);
  }
  return false;
}
