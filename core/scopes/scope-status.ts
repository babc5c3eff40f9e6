/**
 * The statuses of a scope.
 */
export const SCOPE_STATUSES = ['running', 'compensating', 'completed', 'failed', 'cancelled'] as const;
export type ScopeStatus = (typeof SCOPE_STATUSES)[number];
