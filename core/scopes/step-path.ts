/**
 * Paths of steps in a template, their keys from the top level down: `outer/each/key`. Paths of scopes as they run have
 * the index of each scope: `outer[0]/each[3]`.
 */

/** The path of a step: its key, below the path of the scope. @param scope empty: the top level */
export function stepPath(scope: string, key: string): string {
  return scope === '' ? key : `${scope}/${key}`;
}

/** The key of the compensation of a step. No step has such a key, since `~` is not allowed in one. */
export function compensationKey(key: string): string {
  return `${key}${COMPENSATION}`;
}

/** The end of the keys and paths of compensations. */
export const COMPENSATION = '~compensation';

/** The path of a scope: that of its holder. The further ones of a holder have their number: `agent`, `agent/1`. */
export function scopePath(holder: string, number: number): string {
  return number === 0 ? holder : `${holder}/${number}`;
}

/** The path of a scope as it runs. @param around the scope in which its holder is; null: the top level */
export function runPath(around: { readonly path: string } | null, holder: string, index: number): string {
  return stepPath(around?.path ?? '', `${holder}[${index}]`);
}
