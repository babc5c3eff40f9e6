/**
 * A cache of versions, up to a number of bytes of memory: the least recently used are evicted.
 *
 * A version in use is kept alive by its user. The newest one is always kept, however large it is.
 */
import type { TemplateVersion } from './version.ts';
import { weightOf } from './weight.ts';

interface Kept {
  readonly version: TemplateVersion;
  readonly bytes: number;
}

export class KeptVersions {
  readonly #maxBytes: number;
  /** The least recently used first. */
  readonly #byId = new Map<string, Kept>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): TemplateVersion | undefined {
    const kept = this.#byId.get(id);
    if (kept === undefined) return undefined;
    // Moves it to the most recently used end.
    this.#byId.delete(id);
    this.#byId.set(id, kept);
    return kept.version;
  }

  add(version: TemplateVersion): void {
    this.#forget(version.id);
    const bytes = weightOf(version);
    this.#byId.set(version.id, { version, bytes });
    this.#bytes += bytes;
    for (const id of this.#byId.keys()) {
      if (this.#bytes <= this.#maxBytes || id === version.id) break;
      this.#forget(id);
    }
  }

  #forget(id: string): void {
    this.#bytes -= this.#byId.get(id)?.bytes ?? 0;
    this.#byId.delete(id);
  }
}
