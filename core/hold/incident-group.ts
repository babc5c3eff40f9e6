/**
 * The group of an incident: those of a workspace, template, step and error code, over all versions, are one.
 */
import { createHash } from 'node:crypto';

/** As the database makes it (db/control/incidents.ts). @param step its path without indexes */
export function incidentGroup(
  workspaceId: string | null,
  template: string,
  step: string,
  code: string,
): string {
  const names = [workspaceId ?? '', template, step, code].join('\n');
  return createHash('sha256').update(names).digest('hex').slice(0, 32);
}
