/**
 * The statuses of a scope.
 */
export const SCOPE_STATUSES = ['running', 'completed', 'failed', 'cancelled'] as const;
export type ScopeStatus = (typeof SCOPE_STATUSES)[number];
