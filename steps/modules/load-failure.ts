/**
 * The reason why a module cannot be loaded, with the place in its source: file, line, column, message.
 *
 * Runtimes report places in different ways, or not at all: Bun has a list of positions for code that does not parse and
 * none for imports; Node.js has a place at the head of the stack, and none for JavaScript that does not parse. A
 * missing place is searched in the sources, from the module along its imports.
 *
 * Invariant 1: this code does not throw, and does not run the module again.
 */
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isObject } from '../../core/json/json.ts';
import { findImport, findUnparsable, type SourcePlace } from './module-sources.ts';

export interface LoadFailure {
  /** Null when it is not known. */
  readonly place: SourcePlace | null;
  readonly message: string;
}

/** More than a person reads before mending the first. */
const MAX_FAILURES = 5;
const ADVICE: Readonly<Record<string, string>> = {
  ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX:
    'Node.js runs only TypeScript whose types can be erased: write it in plain JavaScript, or run the engine on Bun',
  ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING:
    'Node.js runs no TypeScript below node_modules: compile it, or run the engine on Bun',
};

/** @param file absolute path of the module that was to be loaded */
export function describeLoadFailure(error: unknown, file: string): LoadFailure[] {
  const parts =
    isObject(error) && Array.isArray(error.errors) && error.errors.length > 0 ? error.errors : [error];
  return parts.slice(0, MAX_FAILURES).map((part: unknown) => ({
    place: placeOf(part, file),
    message: messageOf(part),
  }));
}

/** `file:line:column: message`, the file relative to a folder when it is below it. */
export function loadFailureLine({ place, message }: LoadFailure, folder: string): string {
  if (place === null) return message;
  const path = relative(folder, place.file);
  return `${path.startsWith('..') ? place.file : path}:${place.line}:${place.column}: ${message}`;
}

function messageOf(error: unknown): string {
  if (!isError(error)) return String(error);
  const code = (error as { code?: unknown }).code;
  const advice = typeof code === 'string' ? ADVICE[code] : typeAdvice(error);
  return advice === undefined ? error.message : `${error.message.replace(/\.$/, '')}. ${advice}.`;
}

/** A type that is imported as a value is gone when the module runs. */
function typeAdvice({ message }: Error): string | undefined {
  return missingExport(message) === null ? undefined : 'If it is a type, import it with `import type`';
}

function placeOf(error: unknown, file: string): SourcePlace | null {
  if (!isError(error)) return null;
  return (
    bunPosition(error) ??
    stackHead(error) ??
    importPlace(error, file) ??
    syntaxPlace(error, file) ??
    thrownAt(error)
  );
}

/** Returns whether it has a message. The errors of Bun's parser are not instances of Error. */
function isError(error: unknown): error is Error {
  return isObject(error) && typeof error.message === 'string';
}

function bunPosition(error: Error): SourcePlace | null {
  const { position } = error as { position?: { file?: string; line?: number; column?: number } | null };
  if (!position?.file || !position.line) return null;
  return { file: position.file, line: position.line, column: position.column ?? 1 };
}

/** Node.js: `file:line`, the line of source, and a caret below it, before the stack itself. */
function stackHead({ stack }: Error): SourcePlace | null {
  const lines = stack?.split('\n') ?? [];
  const [, path, line] = /^(file:\/\/\/.*|\/.*|[A-Za-z]:\\.*):(\d+)$/.exec(lines[0] ?? '') ?? [];
  if (path === undefined || line === undefined) return null;
  const caret = lines.slice(1, 8).find((text) => /^\s*\^+$/.test(text));
  return { file: pathOf(path), line: Number(line), column: (caret?.indexOf('^') ?? 0) + 1 };
}

function importPlace({ message }: Error, file: string): SourcePlace | null {
  const notFound = /^Cannot find (?:module|package) '(.+?)' imported from (.+)$/.exec(message);
  if (notFound !== null) {
    const [, target, importer] = notFound as unknown as [string, string, string];
    return findImport(pathOf(importer), { target });
  }
  const name = missingExport(message);
  if (name === null) return null;
  const [, target] = /module '(.+?)'/.exec(message) ?? [];
  return target === undefined ? null : findImport(file, { target, name });
}

function missingExport(message: string): string | null {
  const [, bun, node] =
    /^Export named '(.+?)' not found in module|does not provide an export named '(.+?)'/.exec(message) ?? [];
  return bun ?? node ?? null;
}

function syntaxPlace(error: Error, file: string): SourcePlace | null {
  return error.name === 'SyntaxError' ? findUnparsable(file) : null;
}

/** The innermost line of the stack that is in a source of the module's own. */
function thrownAt({ stack }: Error): SourcePlace | null {
  for (const line of stack?.split('\n') ?? []) {
    const [, path, row, column] =
      /(?:\(| at (?:async )?)((?:file:\/\/)?(?:\/|[A-Za-z]:\\)[^()]*):(\d+):(\d+)\)?$/.exec(line) ?? [];
    if (path === undefined || /[\\/]node_modules[\\/]/.test(path) || !existsSync(pathOf(path))) continue;
    return pathOf(path) === OWN_FILE
      ? null
      : { file: pathOf(path), line: Number(row), column: Number(column) };
  }
  return null;
}

const OWN_FILE = fileURLToPath(new URL('./user-modules.ts', import.meta.url));

function pathOf(name: string): string {
  return name.startsWith('file:') ? fileURLToPath(name) : name;
}
