/**
 * Template versions by id, compiled on first use and kept while they are used: a version never changes.
 */
import type { Db } from '../db/client.ts';
import { readTemplateById, type StoredTemplate } from '../db/workflow-template.ts';
import { type CompileContext, compileVersion, type TemplateVersion } from './template-version.ts';

const MOST_VERSIONS = 500;

export class TemplateVersions {
  readonly #context: CompileContext;
  readonly #versions = new Map<string, TemplateVersion>();

  constructor(context: CompileContext) {
    this.#context = context;
  }

  /** Null when there is no such template. @throws EngineError('invalid_definition') */
  async get(db: Db, id: string): Promise<TemplateVersion | null> {
    const known = this.#versions.get(id);
    if (known !== undefined) {
      // Moves it to the young end.
      this.#versions.delete(id);
      this.#versions.set(id, known);
      return known;
    }
    const stored = await readTemplateById(db, id);
    return stored === null ? null : this.#keep(stored);
  }

  #keep(stored: StoredTemplate): TemplateVersion {
    const known = this.#versions.get(stored.id);
    if (known !== undefined) return known;
    const version = compileVersion(stored, this.#context);
    this.#versions.set(stored.id, version);
    if (this.#versions.size > MOST_VERSIONS) this.#versions.delete(this.#versions.keys().next().value!);
    return version;
  }
}
