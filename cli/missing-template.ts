/**
 * The nearest name of a template, for a name that the engine does not know.
 */
import { EngineProblem } from '../client/engine-client.ts';
import { didYouMean } from '../core/text/nearest.ts';
import type { Connection } from './connection.ts';

/** Names that are compared: those of one page. */
const MAX_NAMES = 500;

/** Makes a call about a template. When the engine does not know the name, its error gets the nearest known one. */
export async function withNearestName<T>(
  { client }: Connection,
  name: string,
  call: () => Promise<T>,
): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof EngineProblem) || error.code !== 'template_not_found') throw error;
    const page = await client.listTemplates({ limit: MAX_NAMES }).catch(() => null);
    const names = (page?.data ?? []).map((template) => template.name);
    // A known name lacks the version that was asked for.
    if (names.includes(name)) throw error;
    const { status, code, message, problems, requestId } = error;
    throw new EngineProblem(status, {
      code,
      detail: message + didYouMean(name, names),
      errors: problems.filter((problem) => problem.message !== message),
      request_id: requestId ?? undefined,
    });
  }
}
