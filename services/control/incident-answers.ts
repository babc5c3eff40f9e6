/**
 * Requests and answers about incidents, in the field names of the API.
 */
import type { Caller } from '../caller.ts';
import type { Page } from '../page.ts';
import type { BulkResult } from './bulk-answers.ts';

/** Incidents of one workspace, template, step and error code. */
export interface IncidentBody {
  id: string;
  template: string;
  step: string;
  code: string;
  /** The latest. */
  message: string;
  count: number;
  first_at: string;
  last_at: string;
  /** The latest five. */
  examples: { execution_id: string; step_id: string; message: string; at: string }[];
}

export interface IncidentQuery {
  workspace_id?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
}

export type IncidentAct = 'resume' | 'fail';

export interface IncidentCall {
  limit?: number | undefined;
  dry_run?: boolean | undefined;
}

export interface IncidentPort {
  list(caller: Caller, query: IncidentQuery): Promise<Page<IncidentBody>>;
  close(caller: Caller, groupId: string, act: IncidentAct, call: IncidentCall): Promise<BulkResult>;
}
