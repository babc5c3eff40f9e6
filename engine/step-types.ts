/**
 * The step types of a configuration, and the rules by which definitions are checked with them: shared by an engine
 * and by a check without one.
 */
import type { Config } from '../config/config.ts';
import type { LintContext } from '../definition/lint/context.ts';
import { checkSchema } from '../definition/schema/json-schema.ts';
import { loadUserStepTypes, moduleOf, StepModulesError } from '../steps/modules/user-modules.ts';
import { createStepTypes, type StepTypesOptions } from '../steps/registry.ts';
import type { StepType } from '../steps/step-type.ts';
import { lintContext } from '../template/context.ts';
import type { ReaderSetup } from './reader/wire.ts';

/** Items of one start-many. */
export const MAX_STARTS = 1_000;

export type StepTypeSettings = Pick<
  Config,
  'httpAllow' | 'limits' | 'llmKey' | 'llmUrl' | 'mailFrom' | 'mailServer' | 'publicUrl' | 'steps'
> & {
  /** Null: unknown here, so definitions may name any. */
  readonly secrets: Config['secrets'] | null;
};

export interface LoadedStepTypes {
  readonly stepTypes: ReadonlyMap<string, StepType>;
  /** The custom ones. */
  readonly userTypes: readonly StepType[];
  /** Settings of the built-in ones. */
  readonly settings: Required<Pick<StepTypesOptions, 'http' | 'mail' | 'publicUrl' | 'agent' | 'script'>>;
  readonly lint: LintContext;
}

/** Resolves modules relative to `cwd`. Throws StepModulesError. */
export async function loadStepTypes(
  { httpAllow, limits, llmKey, llmUrl, mailFrom, mailServer, publicUrl, steps, secrets }: StepTypeSettings,
  cwd: string,
): Promise<LoadedStepTypes> {
  const settings = {
    http: {
      allow: httpAllow,
      maxResponseBytes: limits.httpMaxResponseBytes,
      timeoutMs: limits.httpTimeoutMs,
    },
    script: { timeoutMs: limits.scriptTimeoutMs, memoryBytes: limits.scriptMemoryBytes },
    mail: { server: mailServer, sender: mailFrom },
    publicUrl,
    agent: { url: llmUrl, key: llmKey },
  };
  const userTypes = await loadUserStepTypes(steps, cwd);
  refuseBrokenSchemas(userTypes);
  const schemas = () => lint.schemas;
  const { maxForeachItems, maxLoopIterations } = limits;
  const bound = { maxForeachItems, maxLoopIterations };
  const stepTypes = createStepTypes({ ...settings, ...bound, extra: userTypes, schemas });
  const bounds = { maxSteps: limits.maxSteps, maxDepth: limits.maxJsonDepth };
  const lint = lintContext(stepTypes, bounds, secrets === null ? null : Object.keys(secrets));
  return { stepTypes, userTypes, settings, lint };
}

/** Returns the set-up of the reader that checks definitions with these step types. */
export function readerSetup(
  { limits, steps, secrets }: StepTypeSettings,
  { settings: { http, mail, publicUrl, agent, script } }: LoadedStepTypes,
): ReaderSetup {
  return {
    modules: steps,
    http,
    // It sends no mail, and asks no language model.
    mail: { ...mail, server: mail.server && { ...mail.server, login: null } },
    publicUrl,
    script,
    agent: { ...agent, key: null },
    secretNames: secrets === null ? null : Object.keys(secrets),
    maxSteps: limits.maxSteps,
    maxLoopIterations: limits.maxLoopIterations,
    maxDepth: limits.maxJsonDepth,
    maxDefinitionBytes: Math.min(limits.maxDefinitionBytes, limits.maxBodyBytes),
    maxStarts: MAX_STARTS,
  };
}

function refuseBrokenSchemas(types: readonly StepType[]): void {
  // Types often have one schema in common, and each check compiles it.
  const bySchema = Map.groupBy(types, ({ schema }) => schema);
  const faults = [...bySchema].flatMap(([schema, sharing]) =>
    checkSchema(schema).flatMap(({ pointer, message }) =>
      sharing.map((type) => `${moduleOf(type)}: step type "${type.type}": schema${pointer}: ${message}`),
    ),
  );
  if (faults.length > 0) throw new StepModulesError(faults);
}
