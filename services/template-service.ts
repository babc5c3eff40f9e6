/**
 * Templates: publish, validate, read, list, archive. A version never changes after it is published.
 */
import { createHash } from 'node:crypto';
import { definitionFingerprint } from '../core/json/canonical.ts';
import type { JsonObject } from '../core/json/json.ts';
import { EngineError } from '../core/problem.ts';
import type { Template } from '../core/template.ts';
import type { Pool, Tx } from '../db/connection/client.ts';
import type { DatabaseFeatures } from '../db/connection/features.ts';
import { transact } from '../db/connection/transact.ts';
import { newId } from '../db/uuid.ts';
import {
  archiveTemplates,
  insertTemplate,
  listTemplates,
  lockTemplateName,
  readTemplateByName,
  type StoredTemplate,
} from '../db/workflow-template.ts';
import { readDefinition } from '../definition/definition.ts';
import type { LintContext } from '../definition/lint/context.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { isoTime } from './execution-status.ts';
import type {
  Caller,
  Page,
  PublishResult,
  TemplateBody,
  TemplateServicePort,
  TemplateSummary,
  ValidateResult,
} from './service-types.ts';

const DEFAULT_PAGE = 50;

export class TemplateService implements TemplateServicePort {
  readonly #pool: Pool;
  readonly #lint: LintContext;
  readonly #advisoryLocks: boolean;

  constructor(pool: Pool, lint: LintContext, { advisoryLocks }: Pick<DatabaseFeatures, 'advisoryLocks'>) {
    this.#pool = pool;
    this.#lint = lint;
    this.#advisoryLocks = advisoryLocks;
  }

  async publish(caller: Caller, document: unknown): Promise<{ created: boolean; result: PublishResult }> {
    const { template, errors, warnings } = readDefinition(document, this.#lint);
    if (template === null) {
      const count = errors.length === 1 ? '1 problem' : `${errors.length} problems`;
      throw new EngineError(
        'invalid_definition',
        `The definition has ${count}; nothing was published.`,
        errors,
      );
    }
    const definition = document as JsonObject;
    const hash = createHash('sha256').update(definitionFingerprint(definition)).digest('hex');
    const publishing = async (tx: Tx) => {
      await lockTemplateName(tx, caller.workspaceId, template.name, this.#advisoryLocks);
      const latest = await readTemplateByName(tx, caller.workspaceId, template.name, null);
      const equal = latest !== null && latest.archivedAt === null && latest.definitionHash === hash;
      const stored = equal ? latest : await this.#insert(tx, caller, template, definition, hash, latest);
      const steps = stored.steps.map(({ id, key }) => ({ id, key }));
      const { id, name, version } = stored;
      return { created: !equal, result: { workflow_template_id: id, name, version, steps, warnings } };
    };
    return transact(this.#pool, publishing);
  }

  async #insert(
    tx: Tx,
    caller: Caller,
    template: Template,
    definition: JsonObject,
    hash: string,
    latest: StoredTemplate | null,
  ): Promise<Pick<StoredTemplate, 'id' | 'name' | 'version' | 'steps'>> {
    const written = definition.steps as JsonObject;
    const steps = template.steps.map(({ key, type }) => ({ id: newId(), key, type }));
    const row = {
      id: newId(),
      name: template.name,
      version: (latest?.version ?? 0) + 1,
      workspaceId: caller.workspaceId,
      description: template.description,
      definition: JSON.stringify(definition),
      definitionHash: hash,
      steps: steps.map((step) => ({ ...step, definition: JSON.stringify(written[step.key]) })),
    };
    await insertTemplate(tx, row);
    return { id: row.id, name: row.name, version: row.version, steps };
  }

  async validate(_caller: Caller, document: unknown): Promise<ValidateResult> {
    const { errors, warnings } = readDefinition(document, this.#lint);
    return { valid: errors.length === 0, errors, warnings };
  }

  async get(caller: Caller, name: string, version?: number): Promise<TemplateBody> {
    const stored = await readTemplateByName(this.#pool, caller.workspaceId, name, version ?? null);
    if (stored === null) throw templateNotFound(name, version);
    return {
      workflow_template_id: stored.id,
      name: stored.name,
      version: stored.version,
      description: stored.description,
      created_at: stored.createdAt.toISOString(),
      archived_at: isoTime(stored.archivedAt),
      definition: stored.definition,
      steps: stored.steps.map(({ id, key, type }) => ({ id, key, type })),
    };
  }

  async list(
    caller: Caller,
    page: { limit?: number | undefined; cursor?: string | undefined },
  ): Promise<Page<TemplateSummary>> {
    const limit = page.limit ?? DEFAULT_PAGE;
    const after = page.cursor === undefined ? null : decodeCursor('templates', page.cursor);
    const rows = await listTemplates(this.#pool, caller.workspaceId, after, limit + 1);
    const data = rows.slice(0, limit).map((row) => ({
      workflow_template_id: row.id,
      name: row.name,
      version: row.version,
      description: row.description,
      created_at: row.createdAt.toISOString(),
    }));
    return { data, next_cursor: rows.length > limit ? encodeCursor('templates', data.at(-1)!.name) : null };
  }

  async archive(caller: Caller, name: string): Promise<void> {
    // In a transaction: a main server's `updated_at` may be without a zone, and is UTC only there behind a pooler.
    let archived = 0;
    await transact(this.#pool, async (tx) => {
      // An attempt whose commit was not answered may have archived them.
      archived += await archiveTemplates(tx, caller.workspaceId, name);
    });
    if (archived === 0) throw templateNotFound(name);
  }
}

export function templateNotFound(name: string, version?: number): EngineError {
  const which = version === undefined ? `"${name}"` : `"${name}" with version ${version}`;
  return new EngineError('template_not_found', `No template ${which} is published in this workspace.`);
}
