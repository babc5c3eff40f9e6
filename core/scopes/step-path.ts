/**
 * Paths of steps: their keys from the top level down, `outer/each/key`.
 */

/** The path of a step: its key, below the path of the scope. @param scope empty: the top level */
export function stepPath(scope: string, key: string): string {
  return scope === '' ? key : `${scope}/${key}`;
}

/** The path of a scope: that of its holder. The further ones of a holder have their number: `agent`, `agent/1`. */
export function scopePath(holder: string, number: number): string {
  return number === 0 ? holder : `${holder}/${number}`;
}
