/**
 * Takes over the running steps of dead engines: each is released through the door, guarded by the dead engine's
 * claim.
 */
import type { Event } from '../core/event.ts';
import { takeoverEvent } from '../core/takeover.ts';
import { slotOf } from '../core/view.ts';
import type { Db } from '../db/connection/client.ts';
import type { OwnedStep } from '../db/engine.ts';
import type { TemplateVersions } from '../template/versions.ts';

export interface TakeoverOptions {
  readonly db: Db;
  readonly door: { deliver(executionId: string, event: Event): Promise<unknown> };
  readonly versions: Pick<TemplateVersions, 'find'>;
  /** Returns whether handlers of a step type run in the process of their engine. */
  runsInEngine(type: string): boolean;
}

/** Resolves when the step is released, or no longer belongs to its dead owner. */
export async function takeOver(options: TakeoverOptions, step: OwnedStep): Promise<void> {
  const { db, door, versions, runsInEngine } = options;
  const { executionId, templateId, stepTemplateId, attempt, owner } = step;
  const version = await versions.find(db, templateId);
  const position = version?.positions.get(stepTemplateId);
  if (!version || position === undefined) return;
  const ranBeside = !runsInEngine(version.steps[position]!.step.type);
  const slot = slotOf(version.graph, position);
  await door.deliver(executionId, takeoverEvent(slot, { attempt, owner }, ranBeside));
}
