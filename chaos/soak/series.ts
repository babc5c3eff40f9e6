/**
 * The series of a soak run: how much each may rise over the time that is judged, and why so much.
 */
import type { Tolerance } from './growth.ts';
import { KEPT } from './samples.ts';

export interface Rule extends Tolerance {
  readonly matches: RegExp;
  /** It follows the executions that are kept, in proportion. */
  readonly perKept: boolean;
  /** Its slack is meant for a rate of one execution per second. */
  readonly perRate?: boolean;
}

/** The first that matches. A series without a match is reported and not judged. */
const RULES: readonly Rule[] = [
  // The runtime gives memory back late and grows its heap in steps of some MiB. A leak of 1 KB per execution is
  // 60 MiB in 20 minutes at 50 executions per second.
  { matches: /^engine \d+ (children )?memory/, share: 0.1, slack: 24, perKept: false },
  // Step hosts come and go with the load: one more is not a leak.
  { matches: /^engine \d+ children$/, share: 0, slack: 1, perKept: false },
  // Pools open connections when they need them and close them after a minute.
  { matches: /^connections$/, share: 0.1, slack: 4, perKept: false },
  // A saw between two runs of autovacuum, which comes when a fifth of a table is dead and at most once a minute: the
  // dead rows of a minute may be there or not. An execution leaves some 15 rows: former versions of its steps and of
  // itself, and all of its rows when it is removed.
  { matches: /^dead rows$/, share: 0.5, slack: 15 * 60, perKept: true, perRate: true },
  // Space that is free again is used again, but a table grows by the most that was dead at a time.
  { matches: /^(tables|indexes) \(MiB\)$/, share: 0.15, slack: 16, perKept: true },
  { matches: /^\S+\.\S+ \(MiB\)$/, share: 0.15, slack: 8, perKept: true },
  // A sweep comes once a minute: the executions of one minute may have gone or not.
  { matches: new RegExp(`^${KEPT}$`), share: 0.1, slack: 60, perKept: false, perRate: true },
  // Those that are under way: some seconds of the load.
  { matches: /^(jobs|executions open)$/, share: 0.5, slack: 5, perKept: false, perRate: true },
  { matches: /^statements\/s$/, share: 0.1, slack: 20, perKept: false },
  { matches: /^(start|completed) p50/, share: 0.5, slack: 5, perKept: false },
  // The slowest few of some hundred values in each sample: other work of the machine shows here first.
  { matches: /^(start|completed) p99/, share: 3, slack: 50, perKept: false },
  { matches: /^event loop lag/, share: 0.5, slack: 5, perKept: false },
];

/** Null: the series is reported and not judged. @param rate executions per second */
export function ruleOf(series: string, rate: number): Rule | null {
  const rule = RULES.find(({ matches }) => matches.test(series));
  if (rule === undefined) return null;
  return rule.perRate === true ? { ...rule, slack: rule.slack * rate } : rule;
}
