/**
 * The ring of engine ids: each engine watches the next one in it, and is the first to take over its steps.
 */

/** Returns the first id after this one, or the first of all; null when there is no other. */
export function nextInRing(own: string, peers: readonly string[]): string | null {
  const sorted = peers.filter((id) => id !== own).toSorted();
  return sorted.find((id) => id > own) ?? sorted[0] ?? null;
}

/** Returns how many live engines precede this one in taking over the steps of a dead one: those between the two. */
export function turnAt(own: string, peers: readonly string[], dead: string): number {
  const isBetween = (id: string) => (own < dead ? own < id && id < dead : own < id || id < dead);
  return peers.filter((id) => id !== own && id !== dead && isBetween(id)).length;
}
