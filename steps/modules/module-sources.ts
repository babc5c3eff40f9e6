/**
 * The sources of a module and of its imports by path, searched for a place that the runtime does not report.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parser } from 'acorn';

/** Lines and columns count from 1. */
export interface SourcePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface SoughtImport {
  /** The specifier as it is written, or the path it leads to. */
  readonly target: string;
  /** A name that is imported from there. */
  readonly name?: string;
}

interface Import {
  readonly specifier: string;
  readonly clause: string;
  readonly clauseOffset: number;
  readonly specifierOffset: number;
}

/** A module that imports more files than this is searched in part. */
const MAX_FILES = 200;
/** `import … from`, `export … from`, `import` alone, and `import(…)` of a text. */
const IMPORT =
  /(?<before>\b(?:import|export)\b(?<clause>[^;'"()]*?)\bfrom\s*|\bimport\s*\(?\s*)(?<quote>['"])(?<specifier>[^'"\n]+)\k<quote>/g;

/** The place of an import: of the name in it when one is sought, else of the specifier. */
export function findImport(file: string, { target, name }: SoughtImport): SourcePlace | null {
  return search(file, (file, text) => {
    for (const found of importsOf(text)) {
      if (found.specifier !== target && pathOf(file, found.specifier) !== target) continue;
      if (name === undefined) return placeAt(file, text, found.specifierOffset);
      const at = new RegExp(`(?<![\\w$])${name.replaceAll('$', '\\$')}(?![\\w$])`).exec(found.clause)?.index;
      if (at !== undefined) return placeAt(file, text, found.clauseOffset + at);
    }
    return null;
  });
}

/** The place of the syntax error in the first JavaScript source that does not parse. */
export function findUnparsable(file: string): SourcePlace | null {
  return search(file, (path, text) => {
    if (!/\.[cm]?js$/.test(path)) return null;
    try {
      Parser.parse(text, {
        ecmaVersion: 'latest',
        sourceType: path.endsWith('.cjs') ? 'script' : 'module',
        allowHashBang: true,
      });
      return null;
    } catch (error) {
      const { loc } = error as { loc?: { line: number; column: number } };
      return loc === undefined ? null : { file: path, line: loc.line, column: loc.column + 1 };
    }
  });
}

/** Asks each source, nearest first, until one answers. */
function search(start: string, ask: (file: string, text: string) => SourcePlace | null): SourcePlace | null {
  const met = new Set([start]);
  for (const file of met) {
    const text = read(file);
    if (text === null) continue;
    const place = ask(file, text);
    if (place !== null) return place;
    for (const { specifier } of importsOf(text)) {
      if (met.size < MAX_FILES && /^(\.|\/|file:)/.test(specifier)) met.add(pathOf(file, specifier));
    }
  }
  return null;
}

function importsOf(text: string): Import[] {
  return [...text.matchAll(IMPORT)].map((match) => {
    const { before = '', clause = '', specifier = '' } = match.groups ?? {};
    return {
      specifier,
      clause,
      clauseOffset: match.index + before.indexOf(clause),
      specifierOffset: match.index + before.length + 1,
    };
  });
}

function pathOf(importer: string, specifier: string): string {
  return specifier.startsWith('file:') ? fileURLToPath(specifier) : resolve(dirname(importer), specifier);
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function placeAt(file: string, text: string, offset: number): SourcePlace {
  const lines = text.slice(0, offset).split('\n');
  return { file, line: lines.length, column: lines.at(-1)!.length + 1 };
}
