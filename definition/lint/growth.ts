/**
 * Finds steps that pass on all inputs. Where branches of them meet again and again, the output holds every earlier
 * value once for each path through the graph, so it doubles at every join.
 */
import type { ProblemList } from '../problem-list.ts';
import type { StepDraft } from '../step-draft.ts';
import type { DraftGraph } from './graph.ts';

const MAX_NESTED_JOINS = 8;
/** The number of outputs in the inputs of a step after that many joins of two branches. */
const MAX_COPIES = 2 ** MAX_NESTED_JOINS;

interface Growth {
  /** Nested joins of steps that pass on their inputs. */
  readonly joins: number;
  /** The number of outputs within the output, counted with repeats. */
  readonly copies: number;
  /** Whether a warning names this step or one before it. */
  readonly isTold: boolean;
}

/** Warns once of each chain of such joins. */
export function warnGrowth(drafts: readonly StepDraft[], graph: DraftGraph, warnings: ProblemList): void {
  const growths: (Growth | null)[] = drafts.map(() => null);
  for (const group of graph.groups) {
    const [position] = group;
    if (group.length > 1 || position === undefined || !passesInputs(drafts[position]!)) continue;
    const arriving = graph.incoming[position]!.map(({ from }) => growths[from] ?? null);
    const growth = grow(arriving);
    const isTooMuch = growth.joins > MAX_NESTED_JOINS && growth.copies > MAX_COPIES;
    if (isTooMuch && !growth.isTold) warn(drafts[position]!, growth, warnings);
    growths[position] = { ...growth, isTold: growth.isTold || isTooMuch };
  }
}

function passesInputs({ type, step }: StepDraft): boolean {
  try {
    return type?.passesInputs?.(step.with) ?? false;
  } catch {
    // An operator's type threw on its parameters. Nothing is known then, so nothing is reported.
    return false;
  }
}

/** @param arriving of each step that it needs; null: a step that makes its own output */
function grow(arriving: readonly (Growth | null)[]): Growth {
  const nested = arriving.filter((growth) => growth !== null);
  const joins = Math.max(0, ...nested.map((growth) => growth.joins)) + (nested.length > 1 ? 1 : 0);
  const copies = arriving.reduce((sum, growth) => sum + (growth?.copies ?? 1), 0);
  return { joins, copies: Math.max(1, copies), isTold: nested.some((growth) => growth.isTold) };
}

function warn({ step, pointer }: StepDraft, { joins }: Growth, warnings: ProblemList): void {
  const mend =
    step.type === 'noop'
      ? `Give "${step.key}" an output of its own: "with: {}"`
      : 'Give the noop steps before it "with: {}"';
  const message = `The output of "${step.key}" is all that arrived, nested over ${joins} joins, and doubles at each of them until it cannot be stored. ${mend}, or what is read of it.`;
  warnings.add(pointer, 'inputs_grow', message);
}
