/**
 * The parts that run steps: the step types, the sandbox and its expressions, the checks before storage.
 */
import type { Config } from '../config/config.ts';
import { checkSchema } from '../definition/schema/json-schema.ts';
import { createEvaluator, type Evaluator } from '../expression/evaluator.ts';
import { createSandbox, type Sandbox } from '../expression/sandbox/sandbox.ts';
import { OutputStore } from '../payload/output-store.ts';
import { parseAllowList } from '../steps/http/address.ts';
import { createHttpClient, type HttpClient } from '../steps/http/client.ts';
import type { StepType } from '../steps/step-type.ts';
import type { Log } from '../telemetry/log.ts';
import { compileContext } from '../template/context.ts';
import type { TemplateVersion } from '../template/version.ts';
import { TemplateVersions } from '../template/versions.ts';
import type { HostSetup } from '../worker/hosts/wire.ts';
import { Reader } from './reader/reader.ts';
import { loadStepTypes, readerSetup } from './step-types.ts';
import type { Undo } from './undo.ts';

export interface StepParts {
  readonly sandbox: Sandbox;
  readonly evaluator: Evaluator;
  readonly store: OutputStore;
  readonly stepTypes: ReadonlyMap<string, StepType>;
  /** Names of custom types; here they are only described, their handlers run in step hosts. */
  readonly userTypes: ReadonlySet<string>;
  readonly hostSetup: HostSetup;
  readonly httpClient: HttpClient;
  readonly reader: Reader;
  readonly versions: TemplateVersions;
}

/** A script may ask for more than the default, up to this much. */
const SCRIPT_MEMORY_CEILING = 256 * 1024 * 1024;
const MAX_TOLD = 5;

/** Throws an Error with a line per problem when a user's step type cannot be used. */
export async function createStepParts(config: Config, log: Log, undo: Undo): Promise<StepParts> {
  const { limits } = config;
  const sandbox = createSandbox({
    maxMemoryBytes: Math.max(limits.scriptMemoryBytes, SCRIPT_MEMORY_CEILING),
    outputBytes: limits.maxOutputBytes,
  });
  await undo.add(() => sandbox.close());
  const loaded = await loadStepTypes(config, process.cwd());
  const { stepTypes, userTypes, settings, lint } = loaded;
  const { secrets, masked } = config;
  const output = { maxDepth: limits.maxJsonDepth, maxBytes: limits.maxOutputBytes };
  // Compiles the schema of schemas before the first request needs it.
  checkSchema({});
  const onOutput = (text: string) => log.debug({ text }, 'A process that reads definitions wrote this');
  const reader = new Reader(lint, readerSetup(config, loaded), onOutput);
  await undo.add(() => reader.close());
  return {
    sandbox,
    evaluator: createEvaluator(sandbox),
    store: new OutputStore(output, masked),
    stepTypes,
    userTypes: new Set(userTypes.map(({ type }) => type)),
    hostSetup: { ...settings, modules: config.steps, output, secrets, masked },
    httpClient: createHttpClient({ ...settings.http, allow: parseAllowList(settings.http.allow) }),
    reader,
    versions: new TemplateVersions(
      compileContext(lint, stepTypes),
      {
        compiled: (version) => tellFaults(version, log),
        unreadable: (templateId, err) =>
          log.error(
            { template_id: templateId, err },
            'A definition is not understood here; its executions wait for an engine that does',
          ),
      },
      (stored) => reader.judge(stored),
    ),
  };
}

/** Logs steps that this engine cannot run: templates of other engines may have them. */
function tellFaults({ name, version, steps, hasFaults }: TemplateVersion, log: Log): void {
  if (!hasFaults) return;
  const left = steps.filter(({ fault }) => fault !== null);
  const told = left.slice(0, MAX_TOLD).map(({ step, fault }) => `${step.key}: ${fault!.message}`);
  log.warn(
    { template: name, version, count: left.length, steps: told },
    'Steps of a template cannot be run here; they wait for an engine that can',
  );
}
