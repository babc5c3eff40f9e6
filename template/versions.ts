/**
 * Template versions by id, compiled on first use and cached: a version never changes.
 *
 * A template that this engine cannot read is "unreadable" for a while: its error is cached and thrown again.
 */
import { EngineError } from '../core/problem.ts';
import type { StoredTemplate } from '../core/template.ts';
import type { Db } from '../db/connection/client.ts';
import { readTemplateById } from '../db/workflow-template.ts';
import type { Judgement } from '../definition/judgement.ts';
import { inSlices } from '../process/in-slices.ts';
import { type CompileContext, compileVersion } from './compile.ts';
import { KeptVersions } from './kept-versions.ts';
import { UNREADABLE_MS } from './unreadable.ts';
import type { TemplateVersion } from './version.ts';

/** Limit for all cached versions together. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;

export interface VersionsObserver {
  compiled(version: TemplateVersion): void;
  /** Called again after each failed attempt. */
  unreadable(templateId: string, error: EngineError): void;
}

/** Returns the faults of a stored definition in this engine. */
export type Judge = (stored: StoredTemplate) => Judgement | Promise<Judgement>;

export class TemplateVersions {
  readonly #context: CompileContext;
  readonly #observer: VersionsObserver | null;
  readonly #judge: Judge;
  readonly #versions = new KeptVersions(MAX_KEPT_BYTES);
  readonly #compiling = new Map<string, Promise<TemplateVersion>>();
  /** The cached error, and its expiry (of performance.now()). */
  readonly #unreadable = new Map<string, { readonly error: EngineError; readonly until: number }>();
  /** All versions ever seen with steps that are left to other engines: that never changes. */
  readonly #faulty = new Set<string>();

  constructor(context: CompileContext, observer: VersionsObserver | null = null, judge: Judge | null = null) {
    this.#context = context;
    this.#observer = observer;
    this.#judge = judge ?? (({ definition }) => context.judge(definition));
  }

  /** Ids of templates that were recently found unreadable. */
  get unreadable(): string[] {
    const now = performance.now();
    for (const [id, { until }] of this.#unreadable) if (until < now) this.#unreadable.delete(id);
    return [...this.#unreadable.keys()];
  }

  /** Ids of templates whose executions this engine does not begin: it cannot run all of their steps. */
  get notBegun(): string[] {
    return [...this.unreadable, ...this.#faulty];
  }

  /** @throws EngineError('template_not_found'), EngineError('invalid_definition') */
  async get(db: Db, id: string): Promise<TemplateVersion> {
    const known = this.#versions.get(id);
    if (known !== undefined) return known;
    const unreadable = this.#unreadable.get(id);
    if (unreadable !== undefined && unreadable.until > performance.now()) throw unreadable.error;
    try {
      return this.#keep(await this.#read(db, id));
    } catch (error) {
      if (error instanceof EngineError) this.#leave(id, error);
      throw error;
    }
  }

  /** Null: unreadable. */
  async find(db: Db, id: string): Promise<TemplateVersion | null> {
    try {
      return await this.get(db, id);
    } catch (error) {
      if (error instanceof EngineError) return null;
      throw error;
    }
  }

  async #read(db: Db, id: string): Promise<TemplateVersion> {
    const stored = await readTemplateById(db, id);
    if (stored === null)
      throw new EngineError('template_not_found', `Template ${id} is none that was published.`);
    return this.#versions.get(id) ?? this.#compile(stored);
  }

  /** Compiles once for all concurrent callers, in slices of the event loop's time. */
  #compile(stored: StoredTemplate): Promise<TemplateVersion> {
    const { id } = stored;
    const running = this.#compiling.get(id);
    if (running !== undefined) return running;
    const compiling = this.#judgeAndCompile(stored).finally(() => this.#compiling.delete(id));
    this.#compiling.set(id, compiling);
    return compiling;
  }

  async #judgeAndCompile(stored: StoredTemplate): Promise<TemplateVersion> {
    const judgement = await this.#judge(stored);
    return inSlices(compileVersion(stored, judgement, this.#context));
  }

  #keep(version: TemplateVersion): TemplateVersion {
    const { id } = version;
    if (this.#versions.get(id) === version) return version;
    this.#versions.add(version);
    if (version.hasFaults) this.#faulty.add(id);
    this.#observer?.compiled(version);
    return version;
  }

  #leave(id: string, error: EngineError): void {
    this.#unreadable.set(id, { error, until: performance.now() + UNREADABLE_MS });
    this.#observer?.unreadable(id, error);
  }
}
