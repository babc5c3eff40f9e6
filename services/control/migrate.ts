/**
 * `migrate`: moves executions to another version of their template.
 */

import type { DryRun } from '../../core/control/dry-run.ts';
import type { Migration } from '../../core/control/migrate.ts';
import { EngineError, pointerSegment } from '../../core/problem.ts';
import type { Pool } from '../../db/connection/client.ts';
import { readStates } from '../../db/execution-queries.ts';
import { refusalOfState } from '../../door/control/migration-refusal.ts';
import { judgeMigration } from '../../door/control/migrations.ts';
import type { ExecutionDoor } from '../../door/execution-door.ts';
import { TemplateFinder } from '../../template/finder.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Caller } from '../caller.ts';
import type { ExecutionServicePort } from '../execution-answers.ts';
import { visible } from '../visible.ts';
import { changeEach } from './bulk.ts';
import type { BulkResult } from './bulk-answers.ts';
import { topLevelSlot } from './given-outputs.ts';
import type { MigrateBody, MigratePort, MigrateResult } from './migrate-answers.ts';
import { readSourceView, type SourceView } from './source-view.ts';

export interface MigrateParts {
  readonly pool: Pool;
  readonly door: ExecutionDoor;
  readonly versions: TemplateVersions;
  readonly executions: Pick<ExecutionServicePort, 'list'>;
}

export class MigrateService implements MigratePort {
  readonly #parts: MigrateParts;
  readonly #finder: TemplateFinder;

  constructor(parts: MigrateParts) {
    this.#parts = parts;
    this.#finder = new TemplateFinder(parts.pool);
  }

  async migrate(caller: Caller, body: MigrateBody): Promise<MigrateResult | BulkResult | DryRun> {
    const { execution_id: id, filter, limit, cursor, ...asked } = body;
    if (id !== undefined) return this.#one(caller, id, asked);
    const bulk = { filter, limit, cursor, dry_run: asked.dry_run };
    return changeEach(this.#parts.executions, caller, bulk, async (item) => {
      if (item.version === asked.version) return false;
      await this.#one(caller, item.execution_id, asked);
      return true;
    });
  }

  async #one(
    caller: Caller,
    id: string,
    asked: Pick<MigrateBody, 'version' | 'map' | 'dry_run'>,
  ): Promise<MigrateResult | DryRun> {
    const { pool, versions, door } = this.#parts;
    visible(caller, 'execution', id, (await readStates(pool, [id]))[0] ?? null);
    const source = await readSourceView(pool, versions, id);
    if (source === null) throw gone(id);
    const version = await this.#version(source.version, asked.version);
    const map = mapOf(source.version, version, asked.map ?? {});
    const refusal = refusalOfState(source.view);
    if (refusal !== null) throw refusal;
    const isThere = version.id === source.version.id;
    if (asked.dry_run === true) return isThere ? NOTHING : dryRun(source, version, map);
    if (!isThere) {
      const detail = { from_version: source.version.version, version: version.version, map: asked.map ?? {} };
      const act = { act: 'migrate', by: caller.name ?? null, detail } as const;
      const delivery = await door.deliver(id, { type: 'migrate', templateId: version.id, map, act });
      if (delivery === 'missing') throw gone(id);
    }
    const [state] = await readStates(pool, [id]);
    if (state === undefined) throw gone(id);
    return { execution_id: id, status: state.status, version: version.version };
  }

  async #version({ name, workspaceId }: TemplateVersion, wanted: number): Promise<TemplateVersion> {
    const { pool, versions } = this.#parts;
    const found = await this.#finder.byName(workspaceId, name, wanted);
    if (found !== null && !found.isArchived) return versions.get(pool, found.id);
    const message = `Template "${name}" has no version ${wanted}, or it is archived.`;
    throw new EngineError('template_not_found', message, [
      { pointer: '/version', code: 'template_not_found', message },
    ]);
  }
}

const NOTHING: DryRun = { dry_run: true, resets: [], starts: [], cancels: [], skips: [], warnings: [] };

function gone(id: string): EngineError {
  return new EngineError('execution_not_found', `There is no execution ${id} any more.`);
}

/** @throws EngineError('validation_failed') for keys that are not there, and two that become one */
function mapOf(
  from: TemplateVersion,
  to: TemplateVersion,
  asked: Record<string, string | null>,
): Map<string, string | null> {
  const map = new Map<string, string | null>();
  const taken = new Set<string>();
  for (const [key, wanted] of Object.entries(asked)) {
    const pointer = `/map${pointerSegment(key)}`;
    topLevelSlot(from.graph, key, pointer);
    if (wanted !== null) topLevelSlot(to.graph, wanted, pointer);
    if (wanted !== null && taken.has(wanted)) {
      const message = `Two steps would become ${wanted}; map one of them to another key, or to null.`;
      throw new EngineError('validation_failed', message, [{ pointer, code: 'invalid_value', message }]);
    }
    if (wanted !== null) taken.add(wanted);
    map.set(key, wanted);
  }
  return map;
}

/** @throws EngineError when it cannot move */
function dryRun(
  { view }: SourceView,
  version: TemplateVersion,
  map: ReadonlyMap<string, string | null>,
): DryRun {
  const migration = judgeMigration(view, version, map);
  if (migration instanceof EngineError) throw migration;
  return effectsOf(migration, (slot) => view.graph.steps[slot]!.key);
}

/** @param keyBefore key of a step in the version that the execution has */
function effectsOf({ plan, dropped }: Migration, keyBefore: (slot: number) => string): DryRun {
  const key = (slot: number) => plan.view.graph.steps[slot]!.key;
  const skipped = [...plan.steps.values()].filter(({ state }) => state.status === 'skipped');
  return {
    ...NOTHING,
    starts: plan.ready.map(key),
    cancels: dropped.filter(({ status }) => status === 'queued').map(({ slot }) => keyBefore(slot)),
    skips: skipped.map(({ state }) => key(state.slot)),
  };
}
