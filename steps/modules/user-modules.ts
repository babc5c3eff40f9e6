/**
 * Step types of the operator's own, loaded from the modules that EXECUTION_ENGINE_STEPS names.
 *
 * Such a module is trusted code. The engine loads it for the descriptions of its types; the processes that run handlers
 * load it for the handlers. Its default export is one step type or an array of them. Not here: whether their schemas
 * are valid, which is checked where schemas are compiled.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isObject } from '../../core/json/json.ts';
import { BUILT_IN_NAMES } from '../built-in-names.ts';
import type { StepType } from '../step-type.ts';
import { provideOwnName } from './own-name.ts';

const TYPE_NAME = /^[a-zA-Z][a-zA-Z0-9._-]{0,63}$/;

/** Modules of step types that cannot be used; each problem names its module. */
export class StepModulesError extends Error {
  override readonly name = 'StepModulesError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[], setting = 'EXECUTION_ENGINE_STEPS') {
    super([`${setting} cannot be used:`, ...problems.map((problem) => `- ${problem}`)].join('\n'));
    this.problems = problems;
  }
}

const modules = new WeakMap<StepType, string>();

/** Returns the path of the module that a step type was loaded from, as it was given. */
export function moduleOf(type: StepType): string {
  return modules.get(type) ?? 'a module';
}

/** The step types of the modules, in order; paths are relative to `cwd`. Throws StepModulesError. */
export async function loadUserStepTypes(paths: readonly string[], cwd: string): Promise<StepType[]> {
  const problems: string[] = [];
  const found = new Map<string, { path: string; type: StepType }>();
  for (const path of paths) {
    for (const candidate of await exportsOf(path, cwd, problems)) {
      const type = checked(candidate, path, problems);
      if (type === null) continue;
      const taken = found.get(type.type);
      if (BUILT_IN_NAMES.has(type.type))
        problems.push(
          `${path}: the name "${type.type}" is taken by a built-in step type; give yours another name`,
        );
      else if (taken === undefined) {
        found.set(type.type, { path, type });
        modules.set(type, path);
      } else problems.push(`${path}: the name "${type.type}" is taken by a step type of ${taken.path}`);
    }
  }
  if (problems.length > 0) throw new StepModulesError(problems);
  return [...found.values()].map(({ type }) => type);
}

async function exportsOf(path: string, cwd: string, problems: string[]): Promise<unknown[]> {
  const file = resolve(cwd, path);
  if (!existsSync(file)) {
    problems.push(`${path}: cannot be loaded: there is no file ${file}`);
    return [];
  }
  try {
    provideOwnName();
    const module = (await import(pathToFileURL(file).href)) as { default?: unknown };
    if (module.default !== undefined) return [module.default].flat();
    problems.push(`${path}: has no default export; export default a step type or an array of them`);
  } catch (error) {
    // It has a parser.
    const { describeLoadFailure, loadFailureLine } = await import('./load-failure.ts');
    for (const failure of describeLoadFailure(error, file))
      problems.push(`${path}: cannot be loaded: ${loadFailureLine(failure, cwd)}`);
  }
  return [];
}

function checked(candidate: unknown, path: string, problems: string[]): StepType | null {
  const before = problems.length;
  if (!isObject(candidate)) {
    problems.push(
      `${path}: exports ${describe(candidate)} where a step type { type, schema, run } is expected`,
    );
    return null;
  }
  const named = typeof candidate.type === 'string' ? `step type "${candidate.type}"` : 'a step type';
  const demand = (holds: boolean, what: string) => holds || problems.push(`${path}: ${named} ${what}`);
  const { type, summary, schema, run, deferred } = candidate;
  demand(
    typeof type === 'string' && TYPE_NAME.test(type),
    `needs "type", a name such as "sms" or "acme.sms", and has ${describe(type)}`,
  );
  demand(
    isObject(schema) || typeof schema === 'boolean',
    `needs "schema", a JSON Schema of its parameters, and has ${describe(schema)}`,
  );
  demand(
    typeof run === 'function',
    `needs "run", a function of the step's context, and has ${describe(run)}`,
  );
  demand(
    summary === undefined || typeof summary === 'string',
    `has "summary" that is no text but ${describe(summary)}`,
  );
  for (const name of ['routes', 'readsInputs', 'review']) {
    const member = candidate[name];
    demand(
      member === undefined || typeof member === 'function',
      `has "${name}" that is no function but ${describe(member)}`,
    );
  }
  demand(
    deferred === undefined || isPointerList(deferred),
    'has "deferred" that is no list of JSON pointers',
  );
  demand(candidate.holds === undefined, 'has "holds", and only built-in types hold steps');
  demand(
    candidate.waitsFor !== 'child' && candidate.waitsFor !== 'scopes',
    'has a "waitsFor" of built-in types alone',
  );
  if (problems.length > before) return null;
  return candidate as unknown as StepType;
}

function isPointerList(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string' && item.startsWith('/'));
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return 'none';
  return Array.isArray(value)
    ? 'an array'
    : typeof value === 'string'
      ? JSON.stringify(value)
      : `a ${typeof value}`;
}
