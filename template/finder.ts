/**
 * Finds the template of a start by name. Starts that ask for the same one during a query share the next query, so a
 * thousand starts at once need only a few. A start is never answered by a query that began before it asked, so it
 * sees every version published before it.
 */
import type { Db } from '../db/connection/client.ts';
import { type FoundTemplate, findTemplateById, findTemplateByName } from '../db/workflow-template.ts';

interface Looks {
  running: Promise<FoundTemplate | null>;
  next: Promise<FoundTemplate | null> | null;
}

export class TemplateFinder {
  readonly #db: Db;
  readonly #looks = new Map<string, Looks>();

  constructor(db: Db) {
    this.#db = db;
  }

  byName(workspaceId: string | null, name: string, version: number | null): Promise<FoundTemplate | null> {
    const key = `${workspaceId ?? ''}|${version ?? ''}|${name}`;
    return this.#shared(key, () => findTemplateByName(this.#db, workspaceId, name, version));
  }

  byId(id: string): Promise<FoundTemplate | null> {
    return this.#shared(id, () => findTemplateById(this.#db, id));
  }

  #shared(key: string, look: () => Promise<FoundTemplate | null>): Promise<FoundTemplate | null> {
    const looks = this.#looks.get(key);
    if (looks === undefined) return this.#run(key, look);
    looks.next ??= looks.running.then(
      () => this.#run(key, look),
      () => this.#run(key, look),
    );
    return looks.next;
  }

  #run(key: string, look: () => Promise<FoundTemplate | null>): Promise<FoundTemplate | null> {
    const running = look();
    const looks: Looks = { running, next: null };
    this.#looks.set(key, looks);
    const done = () => {
      if (this.#looks.get(key) === looks && looks.next === null) this.#looks.delete(key);
    };
    running.then(done, done);
    return running;
  }
}
