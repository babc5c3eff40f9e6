/**
 * Requests and answers about the inbox of forms, in the field names of the API.
 */
import type { Json } from '../../core/json/json.ts';
import type { Caller } from '../caller.ts';
import type { Page } from '../page.ts';

export interface FormItem {
  step_id: string;
  execution_id: string;
  template: string;
  key: string;
  scope: string;
  title: string;
  description: string | null;
  /** Null: any output will do. */
  schema: Json;
  assignees: string[];
  decisions: { user_id: string | null; decision: 'approve' | 'reject'; comment: string | null; at: string }[];
  created_at: string;
  due_at: string | null;
}

export interface InboxQuery {
  assignee?: string | undefined;
  workspace_id?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface InboxPort {
  forms(caller: Caller, query: InboxQuery): Promise<Page<FormItem>>;
}
