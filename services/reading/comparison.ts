/**
 * The differences between two executions of one template. Pure.
 */
import { type Graph, graphAt } from '../../core/graph.ts';
import type { Json } from '../../core/json/json.ts';
import {
  type ComparedPayloads,
  type ComparedStep,
  MAX_SHOWN,
  type PayloadDifference,
} from '../../db/reading/compared.ts';
import type { TemplateVersion } from '../../template/version.ts';
import {
  type ComparedStepBody,
  type FirstDifference,
  STEP_FIELDS,
  type StepDifferences,
  type StepField,
} from './compare-answers.ts';

/** A step of a version, with its row; undefined: it has none yet. */
interface SideStep {
  readonly rank: number;
  readonly type: string;
  readonly row: ComparedStep | undefined;
}

/** Steps of one execution, by key. */
export type Side = ReadonlyMap<string, SideStep>;

/** @param rows of one scope */
export function sideOf(version: TemplateVersion, rows: readonly ComparedStep[]): Side {
  const graph = graphOf(version, rows);
  const bySlot = new Map(
    rows.map((row) => [version.positions.get(row.stepTemplateId)! - graph.firstPosition, row]),
  );
  // Compensations are no steps of a graph.
  const steps = graph.steps.slice(0, graph.size);
  return new Map(
    steps.map(({ key, type }, slot) => [key, { rank: graph.rank[slot]!, type, row: bySlot.get(slot) }]),
  );
}

function graphOf({ graph, graphs, positions }: TemplateVersion, [first]: readonly ComparedStep[]): Graph {
  return first === undefined ? graph : graphAt(graphs, positions.get(first.stepTemplateId)!);
}

/** A step that is in both versions, or in one. */
export interface StepPair {
  readonly key: string;
  readonly a: SideStep | undefined;
  readonly b: SideStep | undefined;
}

/** Returns the steps of both, the lowest rank first. */
export function pairsOf(a: Side, b: Side): StepPair[] {
  const keys = [...new Set([...a.keys(), ...b.keys()])];
  const pairs = keys.map((key) => ({ key, a: a.get(key), b: b.get(key) }));
  return pairs.sort((one, other) => rankOf(one) - rankOf(other));
}

function rankOf({ a, b }: StepPair): number {
  return (a ?? b)!.rank;
}

/** @param payloads null: there are none to compare */
export function differencesOf({ key, a, b }: StepPair, payloads: ComparedPayloads | null): StepDifferences {
  const [bodyA, bodyB] = [a, b].map((side) => (side === undefined ? null : bodyOf(side)));
  if (!bodyA || !bodyB) return { key, differs: ['missing'], a: bodyA ?? null, b: bodyB ?? null };
  const output = payloads?.output ?? null;
  if (output !== null) {
    bodyA.output = shown(output.a);
    bodyB.output = shown(output.b);
  }
  const same: Record<StepField, boolean> = {
    missing: true,
    type: bodyA.type === bodyB.type,
    status: bodyA.status === bodyB.status,
    route: sameJson(bodyA.route, bodyB.route),
    error: sameJson(bodyA.error, bodyB.error) && (payloads?.sameDetails ?? true),
    output: output === null,
    attempt_count: bodyA.attempt_count === bodyB.attempt_count,
  };
  return { key, differs: STEP_FIELDS.filter((field) => !same[field]), a: bodyA, b: bodyB };
}

function bodyOf({ type, row }: SideStep): ComparedStepBody {
  if (row === undefined)
    return { type, status: 'waiting_inputs', attempt_count: 0, route: null, error: null, ran_ms: null };
  const { status, attempt, routes, errorCode, error, startedAt, completedAt } = row;
  return {
    type,
    status,
    attempt_count: attempt,
    route: routes === null ? null : [...routes],
    error: errorCode === null ? null : { code: errorCode, message: error ?? '' },
    ran_ms: startedAt === null || completedAt === null ? null : completedAt.getTime() - startedAt.getTime(),
  };
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Returns a payload as it is shown: a short one as it is, a long one as the beginning of its text. */
export function shown(text: string | null): Json {
  if (text === null) return null;
  return text.length <= MAX_SHOWN ? (JSON.parse(text) as Json) : `${text.slice(0, MAX_SHOWN)}…`;
}

export function shownDifference({ a, b }: PayloadDifference): { a: Json; b: Json } {
  return { a: shown(a), b: shown(b) };
}

/** Returns the first difference of the steps; null: there is none. */
export function firstOf(steps: readonly StepDifferences[]): FirstDifference | null {
  for (const { key, differs, a, b } of steps) {
    const [field] = differs;
    if (field === undefined) continue;
    return { step: key, field, a: fieldOf(a, field), b: fieldOf(b, field) };
  }
  return null;
}

function fieldOf(body: ComparedStepBody | null, field: StepField): Json {
  // The version that has it shows its status.
  if (field === 'missing') return body?.status ?? null;
  return body?.[field] ?? null;
}
