/**
 * The scope of a holder that names a workflow instead of steps: its one step starts the child.
 *
 * The step has the key of the holder. Nothing inside a scope may read its holder, so the key hides no other step.
 */
import { isObject, type Json } from '../core/json/json.ts';
import { pointerSegment } from '../core/problem.ts';
import type { HeldScope } from '../core/step-type.ts';
import type { Place } from './place.ts';

const TYPE = 'workflow';

/** Returns the scope as if it were written out; undefined: no workflow is named. @param place what may name it */
export function childScope(scope: HeldScope, { value, pointer }: Place, key: string) {
  const { children } = scope;
  if (children === undefined || !isObject(value) || value.workflow === undefined) return undefined;
  const { workflow: name, version, inputs = children.inputs } = value as Record<string, Json>;
  const params = { name, ...(version === undefined ? {} : { version }), inputs };
  const at = `${pointer}/workflow`;
  const output = { value: `\${{ steps[${JSON.stringify(key)}].output }}`, pointer: at, stars: [] };
  return { scope, value: { [key]: { type: TYPE, with: params } } as Json, pointer: at, output };
}

/** A place below such a step: the holder's key, what is before, the parameter and what is below it. */
const BELOW =
  /^(.*\/([^/]+)\/with(?:\/[^/]+\/\d+)?)\/workflow(?:\/\2(?:\/with\/(name|version|inputs))?(.*))?$/s;

/** Returns a pointer into the document for one into the document as if such scopes were written out. */
export function asWritten(pointer: string): string {
  const [, holder, , param, below] = BELOW.exec(pointer) ?? [];
  if (holder === undefined) return pointer;
  if (param === undefined || param === 'name') return `${holder}/workflow`;
  return `${holder}${pointerSegment(param)}${below ?? ''}`;
}
