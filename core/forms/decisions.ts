/**
 * The decisions of people on a form, and what they add up to. Pure.
 *
 * 1. A user counts once, however the id is written.
 * 2. The verdict is that of the first side whose number of decisions is reached; it never changes afterwards, because a
 *    form with a verdict takes no further decision.
 */

export const VOTES = ['approve', 'reject'] as const;
export type Vote = (typeof VOTES)[number];

export interface Quorum {
  /** Approvals that complete the form. */
  readonly approve: number;
  /** Rejections that fail it. */
  readonly reject: number;
}

export interface FormRules {
  /** Ids of users, and `role:<name>`; empty: anybody. */
  readonly assignees: readonly string[];
  /** Null: the first answer ends the form. */
  readonly quorum: Quorum | null;
  /** The user who started the execution may not decide. */
  readonly noSelfApproval: boolean;
}

/** In the field names in which it is stored and answered. */
export interface Decision {
  readonly user_id: string | null;
  readonly decision: Vote;
  readonly comment: string | null;
  readonly at: string;
}

/** Somebody who wants to decide. */
export interface Person {
  readonly userId: string | null;
  readonly roles: readonly string[];
}

export type Refusal = 'user_missing' | 'not_assigned' | 'own_execution' | 'already_decided';

const ROLE = 'role:';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Returns the one spelling of a user's id: UUIDs have no case. */
export function userKey(id: string): string {
  return UUID.test(id) ? id.toLowerCase() : id;
}

/** Returns whether a decision has to say whose it is. */
export function needsUser({ assignees, quorum, noSelfApproval }: FormRules): boolean {
  return assignees.length > 0 || quorum !== null || noSelfApproval;
}

/**
 * Returns why somebody may not decide; null: they may.
 * @param startedBy the user of the execution; null: none
 */
export function refusalOf(
  rules: FormRules,
  decisions: readonly Decision[],
  { userId, roles }: Person,
  startedBy: string | null,
): Refusal | null {
  if (userId === null) return needsUser(rules) ? 'user_missing' : null;
  const user = userKey(userId);
  if (!isAssigned(rules.assignees, user, roles)) return 'not_assigned';
  if (rules.noSelfApproval && startedBy !== null && userKey(startedBy) === user) return 'own_execution';
  const hasDecided = decisions.some(({ user_id }) => user_id !== null && userKey(user_id) === user);
  return hasDecided ? 'already_decided' : null;
}

/** Returns the side that has reached its number; null: the form is open. */
export function verdictOf({ approve, reject }: Quorum, decisions: readonly Decision[]): Vote | null {
  const approvals = decisions.filter(({ decision }) => decision === 'approve').length;
  if (approvals >= approve) return 'approve';
  return decisions.length - approvals >= reject ? 'reject' : null;
}

function isAssigned(assignees: readonly string[], user: string, roles: readonly string[]): boolean {
  if (assignees.length === 0) return true;
  return assignees.some((assignee) =>
    assignee.startsWith(ROLE) ? roles.includes(assignee.slice(ROLE.length)) : userKey(assignee) === user,
  );
}
