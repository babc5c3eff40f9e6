/**
 * Takes over the running steps of dead engines: each is released through the door, guarded by the dead engine's
 * claim.
 */
import type { Event } from '../core/event.ts';
import { graphAt } from '../core/graph.ts';
import { handlerPlace, takeoverEvent } from '../core/takeover.ts';
import { slotOf, type ViewKey, viewKey } from '../core/view.ts';
import type { Db } from '../db/connection/client.ts';
import type { OwnedStep } from '../db/engine.ts';
import type { TemplateVersions } from '../template/versions.ts';

export interface TakeoverOptions {
  readonly db: Db;
  readonly door: { deliver(key: ViewKey, event: Event): Promise<unknown> };
  readonly versions: Pick<TemplateVersions, 'find'>;
  /** Returns whether a step type is one of the engine's own. */
  isBuiltIn(type: string): boolean;
}

/** Resolves when the step is released, or no longer belongs to its dead owner. */
export async function takeOver(options: TakeoverOptions, step: OwnedStep): Promise<void> {
  const { db, door, versions, isBuiltIn } = options;
  const { id: stepId, executionId, scope, templateId, stepTemplateId, attempt, crashes, owner } = step;
  const version = await versions.find(db, templateId);
  const position = version?.positions.get(stepTemplateId);
  if (!version || position === undefined) return;
  const place = handlerPlace(isBuiltIn(version.steps[position]!.step.type), crashes);
  const slot = slotOf(graphAt(version.graphs, position), position);
  await door.deliver(viewKey(executionId, scope), takeoverEvent(slot, { attempt, owner, stepId }, place));
}
