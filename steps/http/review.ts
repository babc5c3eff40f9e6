/**
 * Finds parameters of an `http` step with which no call could be made, before it runs.
 */
import type { JsonObject } from '../../core/json/json.ts';
import { pointerSegment } from '../../core/problem.ts';
import type { KnownParams, ParamFault } from '../../core/step-type.ts';
import { faultsOf, knownDuration } from '../measure.ts';
import { checkedUrl, checkHeader, checkUrlBeginning, sameHeader } from './target.ts';

export function reviewHttp(known: KnownParams, written: JsonObject): ParamFault[] {
  return [
    ...faultsOf({
      url: () => checkWrittenUrl(known.url, written.url),
      timeout: () => knownDuration(known.timeout, 'timeout', 1),
      expect: () => [known.expect].flat().forEach(checkRange),
    }),
    ...headerFaults((known.headers ?? {}) as Readonly<Record<string, unknown>>),
  ];
}

/** Refuses the known part of a URL that no expression can mend. @throws StepFailure */
export function checkWrittenUrl(known: unknown, written: unknown): void {
  if (typeof known === 'string') checkedUrl(known);
  else checkUrlBeginning(String(written).split('${{', 1)[0]!);
}

function checkRange(expect: unknown): void {
  const [from, to] = String(expect).split('-').map(Number);
  if (to !== undefined && to < from!)
    throw new Error(`"${expect}" holds no status: write the lower one first`);
}

function headerFaults(headers: Readonly<Record<string, unknown>>): ParamFault[] {
  const names = new Map<string, string>();
  return Object.entries(headers).flatMap(([name, value]) => {
    const pointer = `/headers${pointerSegment(name)}`;
    const first = names.get(name.toLowerCase());
    names.set(name.toLowerCase(), name);
    if (first !== undefined) return [{ pointer, message: sameHeader(first, name) }];
    const values = [value].flat().filter((one) => one !== undefined);
    return faultsOf({ [pointer.slice(1)]: () => checkHeader(name, values.map(String)) });
  });
}
