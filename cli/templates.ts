/**
 * The commands about templates, given a place to write.
 */

import { EngineProblem } from '../client/engine-client.ts';
import { visibleText } from '../core/text/visible.ts';
import type { ProblemBody, PublishResult, TemplateBody } from '../services/template-answers.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import type { Connection } from './connection.ts';
import { createLineFinder, type DefinitionFile, readDefinition } from './definition-file.ts';
import { EXIT, Failed, problemLine } from './failure.ts';
import { withNearestName } from './missing-template.ts';
import { printJson, printLine, writeLine } from './output.ts';
import { table } from './terminal.ts';
import { createTextSource } from './text-source.ts';

/** The codes of a text that cannot be read as a definition. */
const UNREADABLE = new Set([
  'malformed_json',
  'malformed_yaml',
  'body_too_large',
  'not_storable',
  'number_not_exact',
]);

type Published = PublishResult & { created: boolean };

/** Publishes a definition and prints its version. */
export async function publish(path: string, options: CommonOptions): Promise<void> {
  const connection = connectionOf(options);
  const file = await readDefinition(path, createTextSource());
  const published = await publishFile(connection, file);
  if (options.output === 'json') return printJson(published);
  printLine(publishedLine(published));
}

/** Prints the problems of a definition with their place in the file. */
export async function publishFile({ ask }: Connection, file: DefinitionFile): Promise<Published> {
  try {
    const published = await ask((client) => client.publish(file.text, file.mediaType));
    writeProblems(file, { errors: [], warnings: published.warnings });
    return published;
  } catch (error) {
    if (!(error instanceof EngineProblem)) throw error;
    const errors = problemsOfText(error) ?? error.problems;
    if (errors.length === 0) throw error;
    writeProblems(file, { errors, warnings: [] });
    throw new Failed(EXIT.refused);
  }
}

/** Returns the problems of a text that cannot be read as a definition; null for another refusal. */
export function problemsOfText({
  code,
  message,
  problems,
}: Pick<EngineProblem, 'code' | 'message' | 'problems'>): readonly ProblemBody[] | null {
  if (!UNREADABLE.has(code)) return null;
  return problems.length > 0 ? problems : [{ pointer: '', code, message }];
}

export function publishedLine({ name, version, steps, created }: Published): string {
  return visibleText(
    `${created ? 'published' : 'unchanged:'} ${name} version ${version}, ${steps.length} steps`,
  );
}

/** Writes problems in the order of their lines; those of the whole text come first. */
export function writeProblems(
  file: DefinitionFile,
  { errors, warnings }: { errors: readonly ProblemBody[]; warnings: readonly ProblemBody[] },
): void {
  // A text that could not be read is not read again here.
  const isRead = [...errors, ...warnings].some(({ pointer }) => pointer !== '');
  const lineOf = isRead ? createLineFinder(file.text) : () => null;
  // The message of a problem of the whole text has its place.
  const placed = (problem: ProblemBody) => ({
    problem,
    line: problem.pointer === '' ? null : lineOf(problem.pointer),
  });
  const lines = [
    ...errors.map((problem) => ({ ...placed(problem), mark: '' })),
    ...warnings.map((problem) => ({ ...placed(problem), mark: 'warning: ' })),
  ];
  lines.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  for (const { problem, line, mark } of lines)
    writeLine(visibleText(mark + problemLine(file.name, problem, line)));
}

/** Lists the latest version of every template. */
export async function templates(
  options: CommonOptions & { limit?: number | undefined; cursor?: string | undefined },
): Promise<void> {
  const { limit, cursor } = options;
  const page = await connectionOf(options).ask((client) => client.listTemplates({ limit, cursor }));
  if (options.output === 'json') return printJson(page);
  const rows = page.data.map(({ name, version, created_at, description }) => [
    name,
    version,
    created_at,
    description,
  ]);
  printLine(table(['TEMPLATE', 'VERSION', 'CREATED', 'DESCRIPTION'], rows));
  if (page.next_cursor !== null) writeLine(visibleText(`more with --cursor ${page.next_cursor}`));
}

/** Shows one version of a template; its definition is in the JSON. */
export async function show(
  name: string,
  options: CommonOptions & { templateVersion?: number | undefined },
): Promise<void> {
  const connection = connectionOf(options);
  const found = await withNearestName(connection, name, () =>
    connection.ask((client) => client.getTemplate(name, options.templateVersion)),
  );
  if (options.output === 'json') return printJson(found);
  printTemplate(found);
}

/** Archives every version of a template. It is asked once: a second time there is nothing to archive. */
export async function archive(name: string, options: CommonOptions): Promise<void> {
  const connection = connectionOf(options);
  await withNearestName(connection, name, () => connection.client.archiveTemplate(name));
  if (options.output === 'json') return printJson({ name, archived: true });
  printLine(visibleText(`archived ${name}`));
}

function printTemplate({ name, version, description, created_at, archived_at, steps }: TemplateBody): void {
  printLine(visibleText(`template    ${name} version ${version}`));
  if (description !== null) printLine(visibleText(`description ${description}`));
  printLine(visibleText(`created     ${created_at}`));
  if (archived_at !== null) printLine(visibleText(`archived    ${archived_at}`));
  printLine(
    `\n${table(
      ['STEP', 'TYPE'],
      steps.map(({ key, type }) => [key, type]),
    )}`,
  );
}
