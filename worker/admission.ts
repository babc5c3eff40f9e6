/**
 * The result of the checks before a step may start: it runs, its guard skips it, or one of its expressions fails.
 */
export type Admission = 'pass' | 'skip' | { readonly error: unknown };
