/**
 * What was found before a step may start: it runs, its guard skips it, or an expression of it fails.
 */
export type Admission = 'pass' | 'skip' | { readonly error: unknown };
