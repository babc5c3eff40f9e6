/**
 * Incidents by group: lists them, and decides for all of a group whether their steps are tried again or fail.
 */
import type { Event, ScopeFailure } from '../../core/event.ts';
import type { Json } from '../../core/json/json.ts';
import { EngineError } from '../../core/problem.ts';
import type { ViewKey } from '../../core/view.ts';
import type { Pool } from '../../db/connection/client.ts';
import { type OpenIncident, readIncidentGroups, readIncidents } from '../../db/control/incidents.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Caller } from '../caller.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Page } from '../page.ts';
import { BULK_LIMIT, type BulkResult } from './bulk-answers.ts';
import type {
  IncidentAct,
  IncidentBody,
  IncidentCall,
  IncidentPort,
  IncidentQuery,
} from './incident-answers.ts';

export interface IncidentOptions {
  readonly pool: Pool;
  readonly door: { deliver(key: ViewKey, event: Event): Promise<string> };
  readonly versions: Pick<TemplateVersions, 'get'>;
}

const DEFAULT_PAGE = 50;
/** Executions that are worked on at a time. */
const AT_ONCE = 16;

export class IncidentService implements IncidentPort {
  readonly #options: IncidentOptions;

  constructor(options: IncidentOptions) {
    this.#options = options;
  }

  async list(caller: Caller, query: IncidentQuery): Promise<Page<IncidentBody>> {
    const { limit = DEFAULT_PAGE, cursor, workspace_id = null } = query;
    const after = cursor === undefined ? '' : decodeCursor('incidents', cursor);
    const scope = caller.admin
      ? { all: workspace_id === null, workspaceId: workspace_id }
      : { all: false, workspaceId: caller.workspaceId };
    const groups = await readIncidentGroups(this.#options.pool, scope, after, limit + 1);
    const data = groups.slice(0, limit).map(({ firstAt, lastAt, examples, ...group }) => ({
      ...group,
      first_at: firstAt.toISOString(),
      last_at: lastAt.toISOString(),
      examples: [...examples],
    }));
    const isMore = groups.length > limit;
    return { data, next_cursor: isMore ? encodeCursor('incidents', data.at(-1)!.id) : null };
  }

  /** One commit for each execution. An incident that is closed meanwhile is not changed. */
  async close(
    caller: Caller,
    groupId: string,
    act: IncidentAct,
    { limit = BULK_LIMIT.default, dry_run: isDry = false }: IncidentCall,
  ): Promise<BulkResult> {
    const scope = { all: caller.admin, workspaceId: caller.workspaceId };
    const found = await readIncidents(this.#options.pool, groupId, scope, limit + 1);
    if (found.length === 0)
      throw new EngineError('incident_not_found', `There is no open incident of the group ${groupId}.`);
    const left = found.slice(0, limit);
    const result = {
      matched: left.length,
      changed: 0,
      refused: [],
      more: found.length > limit,
      next_cursor: null,
    };
    if (isDry) return { dry_run: true, ...result, changed: left.length };
    const turn = async () => {
      for (let incident = left.shift(); incident !== undefined; incident = left.shift())
        if (await this.#close(caller, incident, act)) result.changed += 1;
    };
    await Promise.all(Array.from({ length: AT_ONCE }, turn));
    return result;
  }

  async #close(caller: Caller, incident: OpenIncident, act: IncidentAct): Promise<boolean> {
    const { pool, door, versions } = this.#options;
    const { stepId, executionId, templateId, stepTemplateId, attempt } = incident;
    const version = await versions.get(pool, templateId);
    const slot = version.positions.get(stepTemplateId);
    if (slot === undefined) return false;
    const delivery = await door.deliver(executionId, {
      type: 'close_incident',
      slot,
      stepId,
      attempt,
      failure: act === 'resume' ? null : failureOf(incident),
      act: { act, by: caller.name ?? null, stepId },
    });
    return delivery === 'applied';
  }
}

function failureOf({ code, message, details, retryable }: OpenIncident): ScopeFailure {
  return { error: { code, message, details: (details ?? null) as Json }, retryable };
}
