/**
 * `validate`: the problems of a definition, found by the engine's own reader, or by an engine.
 */

import { EngineProblem } from '../client/engine-client.ts';
import { loadConfig } from '../config/config.ts';
import { EngineError } from '../core/problem.ts';
import { visibleText } from '../core/text/visible.ts';
import { Reader } from '../engine/reader/reader.ts';
import {
  type LoadedStepTypes,
  loadStepTypes,
  readerSetup,
  type StepTypeSettings,
} from '../engine/step-types.ts';
import type { ValidateResult } from '../services/template-answers.ts';
import { StepModulesError } from '../steps/modules/user-modules.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import { type DefinitionFile, readDefinition } from './definition-file.ts';
import { Failed, UsageError } from './failure.ts';
import { printJson, printLine, writeLine } from './output.ts';
import { problemsOfText, writeProblems } from './templates.ts';
import { createTextSource } from './text-source.ts';

/** The reader keeps no process alive. One that only waits for it and has no timer either spins instead of sleeping. */
const WAIT_MS = 1_000;

export interface ValidateOptions extends CommonOptions {
  /** Modules with step types, for a check without an engine. */
  steps: string[];
  /** Asks the engine, which knows its own step types and limits. */
  online: boolean;
}

/** Throws Failed when the definition is not valid. */
export async function validate(path: string, options: ValidateOptions): Promise<void> {
  if (options.online && options.steps.length > 0)
    throw new UsageError('--steps is for a check without an engine; an engine has step types of its own');
  const file = await readDefinition(path, createTextSource());
  const result = options.online ? await askEngine(file, options) : await checkHere(file, options.steps);
  if (options.output === 'json') printJson(result);
  else tellProblems(file, result, options);
  if (!result.valid) throw new Failed();
  if (options.output === 'table') printLine(visibleText(`${file.name} is valid`));
}

async function askEngine(file: DefinitionFile, options: CommonOptions): Promise<ValidateResult> {
  try {
    return await connectionOf(options).ask((client) => client.validate(file.text, file.mediaType));
  } catch (error) {
    return unreadable(error);
  }
}

async function checkHere(file: DefinitionFile, steps: readonly string[]): Promise<ValidateResult> {
  const settings = { ...loadConfig({}), steps, secrets: null };
  const types = await stepTypesOf(settings);
  const reader = new Reader(types.lint, readerSetup(settings, types), () => {});
  const format = file.mediaType === 'application/json' ? 'json' : 'yaml';
  const waiting = setInterval(() => {}, WAIT_MS);
  try {
    const { errors, warnings } = await reader.read('', { bytes: Buffer.from(file.text), format });
    return { valid: errors.length === 0, errors: [...errors], warnings: [...warnings] };
  } catch (error) {
    return unreadable(error);
  } finally {
    clearInterval(waiting);
    reader.close();
  }
}

async function stepTypesOf(settings: StepTypeSettings): Promise<LoadedStepTypes> {
  try {
    return await loadStepTypes(settings, process.cwd());
  } catch (error) {
    if (error instanceof StepModulesError)
      throw new UsageError(new StepModulesError(error.problems, '--steps').message);
    throw error;
  }
}

function tellProblems(file: DefinitionFile, result: ValidateResult, { online }: ValidateOptions): void {
  writeProblems(file, result);
  if (!online && result.errors.some(({ code }) => code === 'unknown_step_type'))
    writeLine('Step types of your own are known with --steps MODULE, or to the engine with --online.');
}

/** The API refuses a text that cannot be read; here it is a finding like others. */
function unreadable(error: unknown): ValidateResult {
  const errors =
    error instanceof EngineProblem || error instanceof EngineError ? problemsOfText(error) : null;
  if (errors === null) throw error;
  return { valid: false, errors: [...errors], warnings: [] };
}
