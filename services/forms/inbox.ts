/**
 * The inbox: the forms that wait for people.
 */
import { userKey } from '../../core/forms/decisions.ts';
import type { Json } from '../../core/json/json.ts';
import type { Pool } from '../../db/connection/client.ts';
import { listForms, type WaitingForm } from '../../db/waits/form.ts';
import { answerSchema } from '../../template/input-checker.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Caller } from '../caller.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Page } from '../page.ts';
import { formOf } from './form-wait.ts';
import type { FormItem, InboxPort, InboxQuery } from './inbox-answers.ts';

export interface InboxOptions {
  readonly pool: Pool;
  readonly versions: Pick<TemplateVersions, 'get'>;
}

const DEFAULT_PAGE = 50;

export class Inbox implements InboxPort {
  readonly #options: InboxOptions;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  async forms(caller: Caller, query: InboxQuery): Promise<Page<FormItem>> {
    const { assignee, workspace_id, limit = DEFAULT_PAGE, cursor } = query;
    const rows = await listForms(this.#options.pool, {
      workspaceId: caller.admin ? workspace_id : (caller.workspaceId ?? undefined),
      assignee: assignee === undefined ? undefined : userKey(assignee),
      after: cursor === undefined ? undefined : decodeCursor('forms', cursor),
      limit: limit + 1,
    });
    const data = await Promise.all(rows.slice(0, limit).map((row) => this.#item(row)));
    return {
      data,
      next_cursor: rows.length > limit ? encodeCursor('forms', data.at(-1)!.step_id) : null,
    };
  }

  async #item(row: WaitingForm): Promise<FormItem> {
    const { pool, versions } = this.#options;
    const version = await versions.get(pool, row.templateId);
    const position = version.positions.get(row.stepTemplateId)!;
    const { title, description, assignees, decisions } = formOf(row.waitingFor)!;
    return {
      step_id: row.stepId,
      execution_id: row.executionId,
      template: version.name,
      key: version.steps[position]!.step.key,
      scope: row.scope,
      title,
      description,
      schema: answerSchema(version, position) as Json,
      assignees: [...assignees],
      decisions: [...decisions],
      created_at: row.parkedAt.toISOString(),
      due_at: row.deadlineAt?.toISOString() ?? null,
    };
  }
}
