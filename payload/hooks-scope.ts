/**
 * `execution.hooks` of expressions: the URLs of the webhook steps of a scope, and of those around it.
 */
import type { HookRead, HookUrls } from '../core/hooks/hook-urls.ts';
import type { ExecutionView } from '../core/view.ts';
import { StepFailure } from '../steps/step-type.ts';

export type HooksScope = { hooks?: Readonly<Record<string, string>> };

/** Returns the URLs that are read. @throws StepFailure when they are not configured */
export function hooksScope(
  reads: readonly HookRead[],
  { id, scope }: Pick<ExecutionView, 'id' | 'scope'>,
  urls: HookUrls,
): HooksScope {
  const entries = reads.map(({ key, position, up }) => {
    const url = urls.of({ executionId: id, scope: around(scope?.path ?? '', up), position });
    if (url !== null) return [key, url] as const;
    const message =
      'execution.hooks has no URLs: set EXECUTION_ENGINE_PUBLIC_URL and start the engine again.';
    throw new StepFailure('not_configured', message);
  });
  return { hooks: Object.fromEntries(entries) };
}

/** Returns the path of a scope around another one. */
function around(path: string, up: number): string {
  return up === 0 ? path : path.split('/').slice(0, -up).join('/');
}
