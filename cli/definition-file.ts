/**
 * A workflow definition as a file, or from stdin: its text, its media type, and the lines of its parts.
 *
 * Not here: the check of the definition, which the engine makes.
 */
import {
  type Document,
  isCollection,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
} from 'yaml';
import type { DefinitionMediaType } from '../client/engine-client.ts';
import type { TextSource } from './text-source.ts';

export interface DefinitionFile {
  /** Its name in messages. */
  name: string;
  text: string;
  mediaType: DefinitionMediaType;
}

/** Reads a definition; `-` is standard input. Throws UsageError when it cannot be read. */
export async function readDefinition(path: string, source: TextSource): Promise<DefinitionFile> {
  const text = await source.read(path);
  const isJson = path === '-' ? text.trimStart().startsWith('{') : path.toLowerCase().endsWith('.json');
  return {
    name: path === '-' ? '<stdin>' : path,
    text,
    mediaType: isJson ? 'application/json' : 'application/yaml',
  };
}

/**
 * Finds the line (from 1) of a JSON pointer in a text, or of the innermost part around it that exists.
 * Null when the text cannot be read that far.
 */
export function createLineFinder(text: string): (pointer: string) => number | null {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  return (pointer) => {
    const offset = offsetOf(document, pointer.split('/').slice(1).map(unescapeSegment));
    return offset === null ? null : lines.linePos(offset).line;
  };
}

function unescapeSegment(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}

function offsetOf(document: Document.Parsed, path: readonly string[]): number | null {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const segment of path) {
    if (!isCollection(node)) break;
    const key = keyOf(node, segment);
    const child = isMap(node) ? node.get(segment, true) : node.get(Number(segment), true);
    if (child === undefined && key === null) break;
    offset = startOf(key) ?? startOf(child) ?? offset;
    node = child;
  }
  return offset;
}

/** The node of a key: a line that names the key is what people look for. */
function keyOf(node: Node, name: string): unknown {
  if (!isMap(node)) return null;
  return node.items.find(({ key }) => isScalar(key) && String(key.value) === name)?.key ?? null;
}

function startOf(node: unknown): number | null {
  return isNode(node) ? (node.range?.[0] ?? null) : null;
}
