/**
 * Templates: publish, validate, read, list, archive. A version never changes after it is published.
 */

import { EngineError, type Problem } from '../core/problem.ts';
import { COMPENSATION } from '../core/scopes/step-path.ts';
import type { StoredTemplate } from '../core/template.ts';
import type { Pool, Tx } from '../db/connection/client.ts';
import type { DatabaseFeatures } from '../db/connection/features.ts';
import { transact } from '../db/connection/transact.ts';
import { newId } from '../db/uuid.ts';
import {
  archiveTemplates,
  findTemplateByName,
  insertTemplate,
  listTemplates,
  lockTemplateName,
  readTemplateByName,
} from '../db/workflow-template.ts';
import type { DefinitionSource } from '../definition/source.ts';
import { missingCall } from '../template/called-templates.ts';
import type { DefinitionReader, ReadDefinition } from '../template/reading.ts';
import type { Caller } from './caller.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { Page } from './page.ts';
import { isoTime } from './steps/answer-parts.ts';
import type { PublishResult, TemplateBody, TemplateSummary, ValidateResult } from './template-answers.ts';
import type { TemplateServicePort } from './template-port.ts';

const DEFAULT_PAGE = 50;
/** Steps that start children and are looked at. */
const MAX_CALLS = 100;

export class TemplateService implements TemplateServicePort {
  readonly #pool: Pool;
  readonly #reader: DefinitionReader;
  readonly #advisoryLocks: boolean;

  constructor(
    pool: Pool,
    reader: DefinitionReader,
    { advisoryLocks }: Pick<DatabaseFeatures, 'advisoryLocks'>,
  ) {
    this.#pool = pool;
    this.#reader = reader;
    this.#advisoryLocks = advisoryLocks;
  }

  async publish(
    caller: Caller,
    source: DefinitionSource,
  ): Promise<{ created: boolean; result: PublishResult }> {
    const { definition, errors, warnings } = await this.#reader.read(ownerOf(caller), source);
    if (definition === null) {
      const count = errors.length === 1 ? '1 problem' : `${errors.length} problems`;
      throw new EngineError(
        'invalid_definition',
        `The definition has ${count}; nothing was published.`,
        errors,
      );
    }
    const { name } = definition;
    const missing = await this.#missingCalls(caller, definition);
    const publishing = async (tx: Tx) => {
      await lockTemplateName(tx, caller.workspaceId, name, this.#advisoryLocks);
      const latest = await readTemplateByName(tx, caller.workspaceId, name, null);
      const equal =
        latest !== null && latest.archivedAt === null && latest.definitionHash === definition.hash;
      const stored = equal ? latest : await this.#insert(tx, caller, definition, latest);
      const steps = stepsOf(stored).map(({ id, key }) => ({ id, key }));
      const { id, version } = stored;
      return {
        created: !equal,
        result: { workflow_template_id: id, name, version, steps, warnings: [...warnings, ...missing] },
      };
    };
    return transact(this.#pool, publishing);
  }

  async #insert(
    tx: Tx,
    caller: Caller,
    definition: ReadDefinition,
    latest: StoredTemplate | null,
  ): Promise<Pick<StoredTemplate, 'id' | 'name' | 'version' | 'steps'>> {
    const { name, description, text, hash } = definition;
    const steps = definition.steps.map((step) => ({ id: newId(), ...step }));
    const row = {
      id: newId(),
      name,
      version: (latest?.version ?? 0) + 1,
      workspaceId: caller.workspaceId,
      description,
      definition: text,
      definitionHash: hash,
      steps,
    };
    await insertTemplate(tx, row);
    return { id: row.id, name: row.name, version: row.version, steps };
  }

  async validate(caller: Caller, source: DefinitionSource): Promise<ValidateResult> {
    const { definition, errors, warnings } = await this.#reader.read(ownerOf(caller), source);
    const missing = definition === null ? [] : await this.#missingCalls(caller, definition);
    return { valid: errors.length === 0, errors: [...errors], warnings: [...warnings, ...missing] };
  }

  /** Warns of children whose template is not published: they may be published later. */
  async #missingCalls(
    { workspaceId }: Caller,
    { name, calls }: Pick<ReadDefinition, 'name' | 'calls'>,
  ): Promise<Problem[]> {
    const others = calls.filter((call) => call.name !== name).slice(0, MAX_CALLS);
    const groups = Map.groupBy(others, (call) => `${call.version} ${call.name}`);
    const found = await Promise.all(
      [...groups.values()].map(async (group) => {
        const [{ name: called, version }] = group as [(typeof group)[number]];
        const template = await findTemplateByName(this.#pool, workspaceId, called, version);
        return template === null || template.isArchived ? group : [];
      }),
    );
    return found.flat().map(missingCall);
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
      steps: stepsOf(stored).map(({ id, key, type }) => ({ id, key, type })),
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
    // In a transaction: a main server's `updated_at` may lack a zone, and behind a pooler is UTC only in a
    // transaction.
    let archived = 0;
    await transact(this.#pool, async (tx) => {
      // An earlier attempt, whose commit was not answered, may have archived them.
      archived += await archiveTemplates(tx, caller.workspaceId, name);
    });
    if (archived === 0) throw templateNotFound(name);
  }
}

/** Workspaces take turns. */
function ownerOf({ workspaceId }: Caller): string {
  return workspaceId ?? '';
}

export function templateNotFound(name: string, version?: number): EngineError {
  const which = version === undefined ? `"${name}"` : `"${name}" with version ${version}`;
  return new EngineError('template_not_found', `No template ${which} is published in this workspace.`);
}

/** Returns the steps of a template without compensations, which are told with the definition. */
function stepsOf<Step extends { key: string }>({ steps }: { readonly steps: readonly Step[] }): Step[] {
  return steps.filter(({ key }) => !key.endsWith(COMPENSATION));
}
