/** The routes a random `switch` may name. Apart from graphs.ts: engines under test load this, and need no fast-check. */
export const ROUTES = ['a', 'b', 'c'] as const;
