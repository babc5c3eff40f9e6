/**
 * Explains why an execution, and each step of it, is not final.
 *
 * Not here: the decision (core/explain/) and the sentences (words.ts).
 */
import { Explanation, MAX_MISSING } from '../../core/explain/explain.ts';
import type { Reason } from '../../core/explain/reason.ts';
import type { HookUrls } from '../../core/hooks/hook-urls.ts';
import { stepPath } from '../../core/scopes/step-path.ts';
import { isFinalStep } from '../../core/status.ts';
import { readExplained } from '../../db/explain/execution.ts';
import { type Caller, seesHooks } from '../caller.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { visible } from '../visible.ts';
import type { ExplainBody, ExplainedStepBody, ExplainPort, ExplainQuery, MissingBody } from './answers.ts';
import { type ExplainedView, readExplainedView } from './explained-view.ts';
import { readHistory } from './history.ts';
import { shortText } from './short.ts';
import { mainSlot, summaryOf } from './summary.ts';
import { NOTHING_AROUND, readSurroundings, type SurroundingSources } from './surroundings.ts';
import { listed, type Named, quoted } from './text.ts';
import { waitOf } from './wait-of.ts';
import { reasonText } from './words.ts';

export interface ExplainerOptions extends SurroundingSources {
  readonly hookUrls: HookUrls;
  readonly stopGraceMs: number;
}

/** Steps of one page. */
export const MAX_STEPS = 100;

export class Explainer implements ExplainPort {
  readonly #options: ExplainerOptions;

  constructor(options: ExplainerOptions) {
    this.#options = options;
  }

  async explain(caller: Caller, query: ExplainQuery): Promise<ExplainBody> {
    const { db, versions, stopGraceMs } = this.#options;
    const { execution_id: id, scope = '', history = false } = query;
    const after = query.cursor === undefined ? -1 : Number(decodeCursor('explain', query.cursor));
    const execution = visible(caller, 'execution', id, await readExplained(db, id));
    const version = await versions.get(db, execution.templateId);
    const explained = await readExplainedView(db, { execution, version, scope, stopGraceMs });
    const { view, facts, steps, rows, graph } = explained;
    const unfinished = new Explanation({
      view,
      execution: facts,
      steps,
      around: NOTHING_AROUND,
    }).unfinished();
    const finished = history ? finishedSlots(explained) : [];
    const ranked = [...unfinished, ...finished].sort((a, b) => graph.rank[a]! - graph.rank[b]! || a - b);
    const left = ranked.filter((slot) => graph.rank[slot]! > after);
    const page = left.slice(0, MAX_STEPS);
    const main = mainSlot(view, unfinished);
    const told = page.filter((slot) => !isFinalStep(view.steps[slot]?.status ?? 'waiting_inputs'));
    const wanted = main === null ? told : [...new Set([...told, main])];
    const around = await readSurroundings(this.#options, caller, version, explained, wanted);
    const explanation = new Explanation({ view, execution: facts, steps, around });
    const name = (slot: number) => this.#name(caller, explained, scope, slot);
    const mainText = main === null ? null : reasonText(explanation.reasonOf(main), name(main));
    const over = page.filter((slot) => !told.includes(slot));
    return {
      execution_id: id,
      status: explained.execution.status,
      summary: summaryOf(explained.execution, view, scope, mainText),
      steps: told.map((slot) => stepBody(explanation.reasonOf(slot), name(slot), rows[slot]?.status)),
      history: history ? await readHistory(db, version, explained, over) : null,
      next_cursor:
        left.length > page.length ? encodeCursor('explain', String(graph.rank[page.at(-1)!])) : null,
    };
  }

  #name(caller: Caller, { execution, graph, rows }: ExplainedView, scope: string, slot: number): Named {
    const { key } = graph.steps[slot]!;
    const row = rows[slot];
    const executionId = execution.id;
    const position = graph.firstPosition + slot;
    return {
      executionId,
      stepId: row?.id ?? null,
      key,
      path: stepPath(scope, key),
      scope,
      sinceMs: row?.sinceMs ?? null,
      deadlineAt: row?.deadlineAt ?? null,
      url: () => (seesHooks(caller) ? this.#options.hookUrls.of({ executionId, scope, position }) : null),
      keyOf: (other) => graph.steps[other]!.key,
    };
  }
}

/** Returns the slots of the steps that are final and have a row. */
function finishedSlots({ view, graph }: ExplainedView): number[] {
  return [...graph.steps.keys()].filter((slot) => {
    const status = view.steps[slot]?.status;
    return status !== undefined && isFinalStep(status);
  });
}

function stepBody(
  reason: Reason,
  step: Named,
  status: ExplainedStepBody['status'] = 'waiting_inputs',
): ExplainedStepBody {
  const own = reason.kind === 'paused' || reason.kind === 'stop' ? reason.own : reason;
  return {
    id: step.stepId,
    key: step.key,
    scope: step.scope,
    status,
    reason: reasonText(reason, step),
    since: step.sinceMs === null ? null : new Date(step.sinceMs).toISOString(),
    waiting_for: waitOf(reason, step.url),
    missing: own.kind === 'inputs' ? missingOf(own, step) : [],
    missing_count: own.kind === 'inputs' ? own.missingCount : 0,
  };
}

function missingOf({ missing }: Extract<Reason, { kind: 'inputs' }>, step: Named): MissingBody[] {
  return missing.slice(0, MAX_MISSING).map(({ slot, status, own, before }) => {
    const key = step.keyOf(slot);
    return { step: key, status: status ?? 'waiting_inputs', why: `${quoted(key)} ${why()}.` };
    function why(): string {
      if (own !== null) return shortText(own);
      if (status !== null && isFinalStep(status)) return `is ${status}`;
      const names = listed(before.map((each) => quoted(step.keyOf(each.slot))));
      return before.length === 0
        ? 'waits for inputs'
        : `waits for inputs itself; before it ${names} must end`;
    }
  });
}
