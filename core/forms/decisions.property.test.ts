/** Decisions in random orders against a slow and simple count. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { type Decision, type FormRules, needsUser, refusalOf, type Vote, verdictOf } from './decisions.ts';

const USERS = [
  'ada',
  'Ada',
  '0190b6d0-1111-7222-8333-444455556666',
  '0190B6D0-1111-7222-8333-444455556666',
  '0190b6d0-1111-7222-8333-444455556667',
  'bob',
];
const ROLES = ['audit', 'ada'];

const rulesOf = fc.record({
  assignees: fc.uniqueArray(fc.constantFrom(...USERS, ...ROLES.map((role) => `role:${role}`)), {
    maxLength: 4,
  }),
  quorum: fc.record({ approve: fc.integer({ min: 1, max: 4 }), reject: fc.integer({ min: 1, max: 3 }) }),
  noSelfApproval: fc.boolean(),
}) satisfies fc.Arbitrary<FormRules>;

const wish = fc.record({
  userId: fc.option(fc.constantFrom(...USERS)),
  roles: fc.subarray(ROLES),
  vote: fc.constantFrom<Vote>('approve', 'reject'),
});

/** Takes decisions one after the other, as a service does. */
function play(
  rules: FormRules & { quorum: NonNullable<FormRules['quorum']> },
  wishes: readonly Wish[],
  by: string | null,
) {
  const decisions: Decision[] = [];
  const log: string[] = [];
  let verdict: Vote | null = null;
  for (const { userId, roles, vote } of wishes) {
    if (verdict !== null) break;
    const refusal = refusalOf(rules, decisions, { userId, roles }, by);
    log.push(refusal ?? 'counted');
    if (refusal !== null) continue;
    decisions.push({ user_id: userId, decision: vote, comment: null, at: '' });
    verdict = verdictOf(rules.quorum, decisions);
  }
  return { log, verdict, counted: decisions.map(({ user_id, decision }) => [user_id, decision]) };
}

type Wish = { userId: string | null; roles: string[]; vote: Vote };

/** A person of flesh and blood: the id without case where it is a UUID. */
const person = (id: string) => (id.length === 36 ? id.toLowerCase() : id);

function oracle(
  rules: FormRules & { quorum: NonNullable<FormRules['quorum']> },
  wishes: readonly Wish[],
  by: string | null,
) {
  const voters = new Map<string, Vote>();
  const log: string[] = [];
  const count = (vote: Vote) => [...voters.values()].filter((one) => one === vote).length;
  const isOver = () => count('approve') === rules.quorum.approve || count('reject') === rules.quorum.reject;
  const mayCome = ({ userId, roles }: Wish) =>
    rules.assignees.length === 0 ||
    rules.assignees.map((one) => (one.startsWith('role:') ? one : person(one))).includes(person(userId!)) ||
    roles.some((role) => rules.assignees.includes(`role:${role}`));
  const counted: [string, Vote][] = [];
  for (const wanted of wishes) {
    if (isOver()) break;
    if (wanted.userId === null) log.push('user_missing');
    else if (!mayCome(wanted)) log.push('not_assigned');
    else if (rules.noSelfApproval && by !== null && person(by) === person(wanted.userId))
      log.push('own_execution');
    else if (voters.has(person(wanted.userId))) log.push('already_decided');
    else {
      log.push('counted');
      voters.set(person(wanted.userId), wanted.vote);
      counted.push([wanted.userId, wanted.vote]);
    }
  }
  const verdict = count('approve') === rules.quorum.approve ? 'approve' : isOver() ? 'reject' : null;
  return { log, verdict, counted };
}

describe('decisions on a form', () => {
  test('count once per user, in any order, until one side has its number', () => {
    const startedBy = fc.option(fc.constantFrom(...USERS));
    fc.assert(
      fc.property(rulesOf, fc.array(wish, { maxLength: 12 }), startedBy, (rules, wishes, by) => {
        expect(play(rules, wishes, by)).toEqual(oracle(rules, wishes, by) as never);
      }),
      cases(3_000),
    );
  });

  test('come to a verdict that no order of the same decisions before it changes', () => {
    fc.assert(
      fc.property(rulesOf, fc.array(wish, { maxLength: 12 }), (rules, wishes) => {
        const open = { ...rules, assignees: [], noSelfApproval: false };
        const { counted, verdict } = play(open, wishes, null);
        const votes = counted.map(
          ([user_id, decision]) => ({ user_id, decision, comment: null, at: '' }) as Decision,
        );
        expect(verdictOf(open.quorum, votes.toReversed())).toBe(verdict);
      }),
      cases(1_000),
    );
  });

  test.each([
    [{ assignees: [], quorum: null, noSelfApproval: false }, false],
    [{ assignees: ['ada'], quorum: null, noSelfApproval: false }, true],
    [{ assignees: [], quorum: { approve: 1, reject: 1 }, noSelfApproval: false }, true],
    [{ assignees: [], quorum: null, noSelfApproval: true }, true],
  ] as [FormRules, boolean][])('by %j need a user: %p', (rules, needed) => {
    expect(needsUser(rules)).toBe(needed);
    expect(refusalOf(rules, [], { userId: null, roles: [] }, null)).toBe(needed ? 'user_missing' : null);
  });
});
