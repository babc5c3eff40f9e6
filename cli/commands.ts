/**
 * What each command does, given a client and a place to write.
 *
 * Results go to stdout, everything else to stderr, so that a result can be piped.
 */
import { createEngineClient, type EngineClient, EngineProblem } from '../client/engine-client.ts';
import { EXECUTION_STATUSES, type ExecutionStatus } from '../core/status.ts';
import type { ExecutionStatusBody, ProblemBody, PublishResult } from '../services/service-types.ts';
import { createLineFinder, type DefinitionFile, readDefinition } from './definition-file.ts';
import { Failed, problemLine, UsageError } from './failure.ts';
import { parseInputs } from './input.ts';
import { createProgress } from './progress.ts';
import { follow, requireCompleted } from './run.ts';
import { clean, paintStatus, table } from './terminal.ts';
import { createTextSource, type TextSource } from './text-source.ts';

export interface CommonOptions {
  url: string;
  token?: string | undefined;
  output: 'json' | 'table';
}

export interface StartOptions extends CommonOptions {
  input: string[];
  templateVersion?: number | undefined;
  idempotencyKey?: string | undefined;
  priority?: number | undefined;
  tag: string[];
  wait?: boolean | undefined;
}

export interface ListOptions extends CommonOptions {
  status?: string | undefined;
  template?: string | undefined;
  tag?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
}

/** Publishes a definition and says which version it is. */
export async function publish(path: string, options: CommonOptions): Promise<void> {
  const file = await readDefinition(path, createTextSource());
  const published = await publishFile(createEngineClient(options), file);
  if (options.output === 'json') return printJson(published);
  printLine(publishedLine(published));
}

/** Checks a definition; its problems are the result. */
export async function validate(path: string, options: CommonOptions): Promise<void> {
  const file = await readDefinition(path, createTextSource());
  const result = await withFile(file, createEngineClient(options).validate(file.text, file.mediaType));
  if (options.output === 'json') printJson(result);
  else writeProblems(file, [...result.errors, ...result.warnings]);
  if (!result.valid) throw new Failed();
  if (options.output === 'table') printLine(`${file.name} is valid`);
}

/** Starts an execution of a published template. */
export async function start(template: string, options: StartOptions): Promise<void> {
  const client = createEngineClient(options);
  const started = await client.start(await startItem(template, options, createTextSource()));
  if (options.wait) return followToEnd(client, started.execution_id, options);
  if (options.output === 'json') return printJson(started);
  printLine(
    `execution ${started.execution_id} ${started.status}${started.created ? '' : ' (it existed already)'}`,
  );
}

/** Publishes a definition, runs it, shows its progress and prints its outputs. */
export async function run(path: string, options: StartOptions): Promise<void> {
  const source = createTextSource();
  const file = await readDefinition(path, source);
  const inputs = await startItem('', options, source);
  const client = createEngineClient(options);
  const published = await publishFile(client, file);
  writeLine(publishedLine(published));
  const started = await client.start({ ...inputs, template: published.name, version: published.version });
  writeLine(`execution ${started.execution_id}`);
  await followToEnd(client, started.execution_id, options);
}

/** Shows an execution and its steps. */
export async function status(
  executionId: string,
  options: CommonOptions & { outputs?: boolean | undefined },
): Promise<void> {
  const execution = await createEngineClient(options).status(executionId, {
    includeOutputs: options.outputs,
  });
  if (options.output === 'json') return printJson(execution);
  printExecution(execution);
}

/** Asks an execution to stop. */
export async function stop(
  executionId: string,
  options: CommonOptions & { reason?: string | undefined },
): Promise<void> {
  const stopped = await createEngineClient(options).stop(executionId, options.reason);
  if (options.output === 'json') return printJson(stopped);
  const pending = stopped.stop_requested && stopped.status === 'running' ? ', stop requested' : '';
  printLine(`execution ${stopped.execution_id} ${stopped.status}${pending}`);
}

/** Lists executions, newest first. */
export async function list(options: ListOptions): Promise<void> {
  const { status: wanted, template, tag, limit, cursor } = options;
  if (wanted !== undefined && !EXECUTION_STATUSES.includes(wanted as ExecutionStatus)) {
    throw new UsageError(`--status ${clean(wanted)} is not one of ${EXECUTION_STATUSES.join(', ')}`);
  }
  const filter = { status: wanted as ExecutionStatus | undefined, template, tag, limit, cursor };
  const page = await createEngineClient(options).listExecutions(filter);
  if (options.output === 'json') return printJson(page);
  const rows = page.data.map((item) => [
    item.execution_id,
    item.status,
    item.template,
    item.version,
    item.created_at,
  ]);
  printLine(table(['EXECUTION', 'STATUS', 'TEMPLATE', 'VERSION', 'CREATED'], rows));
  if (page.next_cursor !== null) writeLine(`more with --cursor ${page.next_cursor}`);
}

async function startItem(template: string, options: StartOptions, source: TextSource) {
  return {
    template,
    version: options.templateVersion,
    inputs: await parseInputs(options.input, source),
    idempotency_key: options.idempotencyKey,
    priority: options.priority,
    tags: options.tag.length > 0 ? options.tag : undefined,
  };
}

async function followToEnd(client: EngineClient, executionId: string, options: CommonOptions): Promise<void> {
  const interrupted = () => {
    writeLine(`\nexecution ${executionId} goes on; stop it with: stop ${executionId}`);
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  try {
    const execution = await follow(client, executionId, createProgress(process.stderr));
    if (options.output === 'json') printJson(execution);
    requireCompleted(execution, writeLine);
    writeLine(`execution ${executionId} ${paintStatus(process.stderr, execution.status)}`);
    if (options.output === 'table') printJson(execution.outputs);
  } finally {
    process.off('SIGINT', interrupted);
  }
}

async function publishFile(
  client: EngineClient,
  file: DefinitionFile,
): Promise<PublishResult & { created: boolean }> {
  const published = await withFile(file, client.publish(file.text, file.mediaType));
  writeProblems(file, published.warnings);
  return published;
}

/** Tells problems of a definition by their place in the file. */
async function withFile<T>(file: DefinitionFile, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof EngineProblem) || error.problems.length === 0) throw error;
    writeProblems(file, error.problems);
    throw new Failed();
  }
}

function writeProblems(file: DefinitionFile, problems: readonly ProblemBody[]): void {
  if (problems.length === 0) return;
  const lineOf = createLineFinder(file.text);
  for (const problem of problems) writeLine(clean(problemLine(file.name, problem, lineOf(problem.pointer))));
}

function publishedLine({ name, version, steps, created }: PublishResult & { created: boolean }): string {
  return `${created ? 'published' : 'unchanged:'} ${name} version ${version}, ${steps.length} steps`;
}

function printExecution(execution: ExecutionStatusBody): void {
  const { progress, error } = execution;
  printLine(`execution ${execution.execution_id} ${paintStatus(process.stdout, execution.status)}`);
  printLine(`template  ${execution.template} version ${execution.version}`);
  printLine(
    `steps     ${progress.completed} of ${progress.total} completed, ${progress.failed} failed, ${progress.running} running`,
  );
  if (error !== null)
    printLine(
      clean(`error     ${error.step === null ? '' : `${error.step}: `}${error.code} ${error.message}`),
    );
  const rows = execution.steps.map((step) => [
    step.key,
    step.type,
    step.status,
    step.attempt_count,
    step.error?.code ?? null,
  ]);
  printLine(`\n${table(['STEP', 'TYPE', 'STATUS', 'ATTEMPTS', 'ERROR'], rows)}`);
}

function printJson(value: unknown): void {
  printLine(JSON.stringify(value, null, 2));
}

function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

function writeLine(line: string): void {
  process.stderr.write(`${line}\n`);
}
