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
import { StepModulesError } from '../steps/user-modules.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import { type DefinitionFile, readDefinition } from './definition-file.ts';
import { Failed, UsageError } from './failure.ts';
import { printJson, printLine } from './output.ts';
import { writeProblems } from './templates.ts';
import { createTextSource } from './text-source.ts';

export interface ValidateOptions extends CommonOptions {
  /** Modules with step types, for a check without an engine. */
  steps: string[];
  /** Asks the engine, which knows its own step types and limits. */
  online: boolean;
}

/** The codes of a text that cannot be read as a definition; the API refuses it, here it is a finding like others. */
const UNREADABLE = new Set([
  'malformed_json',
  'malformed_yaml',
  'body_too_large',
  'not_storable',
  'number_not_exact',
]);

/** Throws Failed when the definition is not valid. */
export async function validate(path: string, options: ValidateOptions): Promise<void> {
  if (options.online && options.steps.length > 0)
    throw new UsageError('--steps is for a check without an engine; an engine has step types of its own');
  const file = await readDefinition(path, createTextSource());
  const result = options.online ? await askEngine(file, options) : await checkHere(file, options.steps);
  if (options.output === 'json') printJson(result);
  else writeProblems(file, result);
  if (!result.valid) throw new Failed();
  if (options.output === 'table') printLine(visibleText(`${file.name} is valid`));
}

async function askEngine(file: DefinitionFile, options: CommonOptions): Promise<ValidateResult> {
  try {
    return await connectionOf(options).ask((client) => client.validate(file.text, file.mediaType));
  } catch (error) {
    if (error instanceof EngineProblem && UNREADABLE.has(error.code)) return unreadable(error);
    throw error;
  }
}

async function checkHere(file: DefinitionFile, steps: readonly string[]): Promise<ValidateResult> {
  const settings = { ...loadConfig({}), steps, secrets: null };
  const types = await stepTypesOf(settings);
  const reader = new Reader(types.lint, readerSetup(settings, types), () => {});
  const format = file.mediaType === 'application/json' ? 'json' : 'yaml';
  try {
    const { errors, warnings } = await reader.read('', { bytes: Buffer.from(file.text), format });
    return { valid: errors.length === 0, errors: [...errors], warnings: [...warnings] };
  } catch (error) {
    if (error instanceof EngineError && UNREADABLE.has(error.code)) return unreadable(error);
    throw error;
  } finally {
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

function unreadable({ code, message, problems }: EngineProblem | EngineError): ValidateResult {
  const errors = problems.length > 0 ? [...problems] : [{ pointer: '', code, message }];
  return { valid: false, errors, warnings: [] };
}
