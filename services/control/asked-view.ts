/**
 * A retry as it was asked for, by the views that its steps are in.
 */
import { parseStepAddress, type StepAddress } from '../../core/control/step-address.ts';
import type { Json } from '../../core/json/json.ts';
import { EngineError, pointerSegment } from '../../core/problem.ts';
import type { RetryBody } from './retry-answers.ts';

/** What is asked for in one view. Steps are named by their keys. */
export interface AskedView {
  from: string | null;
  only: string | null;
  /** `from` or `only` is in a scope below. */
  isBelow: boolean;
  readonly outputs: Map<string, AskedOutput>;
  readonly skip: Map<string, string>;
  /** By `key[index]`. */
  readonly inside: Map<string, { readonly key: string; readonly index: number; readonly asked: AskedView }>;
}

export interface AskedOutput {
  readonly value: Json;
  /** Its place in the request. */
  readonly pointer: string;
}

/** @throws EngineError('validation_failed') when a path is none, or a step is named twice */
export function askedViews({ from, only, outputs = {}, skip = [] }: RetryBody): AskedView {
  const top = nothingAsked();
  if (from !== undefined) place(top, addressOf(from, '/from'), true).from = addressOf(from, '/from').key;
  if (only !== undefined) place(top, addressOf(only, '/only'), true).only = addressOf(only, '/only').key;
  for (const [path, value] of Object.entries(outputs)) {
    const pointer = `/outputs${pointerSegment(path)}`;
    const address = addressOf(path, pointer);
    place(top, address, false).outputs.set(address.key, { value, pointer });
  }
  for (const [at, path] of skip.entries()) {
    const pointer = `/skip${pointerSegment(at)}`;
    const address = addressOf(path, pointer);
    const { outputs: ended, skip: skipped } = place(top, address, false);
    if (ended.has(address.key) || skipped.has(address.key))
      throw fault(pointer, `${path} is named twice: a step gets an output or is skipped.`);
    skipped.set(address.key, pointer);
  }
  return top;
}

function nothingAsked(): AskedView {
  return { from: null, only: null, isBelow: false, outputs: new Map(), skip: new Map(), inside: new Map() };
}

/** Returns what is asked for in the view of a step. */
function place(top: AskedView, { scopes }: StepAddress, isFrom: boolean): AskedView {
  let view = top;
  for (const { key, index } of scopes) {
    if (isFrom) view.isBelow = true;
    const name = `${key}[${index}]`;
    const inside = view.inside.get(name) ?? { key, index, asked: nothingAsked() };
    view.inside.set(name, inside);
    view = inside.asked;
  }
  return view;
}

function addressOf(path: string, pointer: string): StepAddress {
  const address = parseStepAddress(path);
  if (address !== null) return address;
  throw fault(
    pointer,
    `${JSON.stringify(path.slice(0, 100))} is no path of a step: write key, or each[3]/key.`,
  );
}

export function fault(pointer: string, message: string): EngineError {
  return new EngineError('validation_failed', message, [{ pointer, code: 'invalid_value', message }]);
}
