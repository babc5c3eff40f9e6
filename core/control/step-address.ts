/**
 * The path by which a caller names a step of an execution: `key`, `each[3]/key`, `each[3]/inner[0]/key`.
 */
import { COMPENSATION } from '../scopes/step-path.ts';

/** A scope on the way to a step. */
export interface ScopeAddress {
  /** Key of the holder. */
  readonly key: string;
  readonly index: number;
}

export interface StepAddress {
  /** The scopes from the top level down. */
  readonly scopes: readonly ScopeAddress[];
  readonly key: string;
}

const SCOPE = /^([a-zA-Z_][a-zA-Z0-9_-]{0,63})\[(0|[1-9]\d{0,8})\]$/;
const KEY = /^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/;

/** The longest path that is read: 16 scopes inside each other. */
export const MAX_ADDRESS_LENGTH = 2_000;

/** Returns null when the text is no path of a step. */
export function parseStepAddress(text: string): StepAddress | null {
  if (text.length > MAX_ADDRESS_LENGTH || text.includes(COMPENSATION)) return null;
  const parts = text.split('/');
  const key = parts.pop()!;
  if (!KEY.test(key)) return null;
  const scopes = parts.map((part) => SCOPE.exec(part));
  if (scopes.includes(null)) return null;
  return { key, scopes: scopes.map((found) => ({ key: found![1]!, index: Number(found![2]) })) };
}
