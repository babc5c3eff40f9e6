/**
 * A transaction in which views are loaded, changed, and thrown away.
 */
import type { ViewKey } from '../../core/view.ts';
import type { Tx } from '../../db/connection/client.ts';
import type { Loaded } from '../actor.ts';

export interface Stage {
  readonly tx: Tx;
  /** Returns a view; null: there is none. @throws EngineError when this engine cannot read it */
  load(key: ViewKey): Promise<Loaded | null>;
}

/** Runs work that writes nothing (rehearsal.ts). */
export interface Stages {
  run<T>(work: (stage: Stage) => Promise<T>): Promise<T>;
}
