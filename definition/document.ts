/**
 * Turns the text of a definition, JSON or YAML, into its document.
 *
 * YAML is read as 1.2 with the core schema: one document, plain JSON values, no merge keys, no tags of its own. A
 * repeated key is an error in both formats: one of two steps would silently be lost.
 *
 * Invariant 1: the depth is known before anything recurses, and aliases cannot make the document larger than
 * `maxBytes`, so no text uses up the stack or the memory.
 * Invariant 2: the returned document can be stored, and has no references to itself.
 */
import type { CST, Document, LineCounter, Scalar } from 'yaml';
import { isExactNumber } from '../core/json/exact-number.ts';
import { assertExactNumbers, assertStorable, InexactNumbers, parseJson } from '../core/json/parse-json.ts';
import { EngineError, pointerSegment } from '../core/problem.ts';
import { onDemand } from '../process/module-on-demand.ts';

const yaml = onDemand<typeof import('yaml')>('yaml');

export type DocumentFormat = 'json' | 'yaml';

export interface DocumentLimits {
  /** Levels of arrays and objects. */
  maxDepth: number;
  /** Bytes of the text, and of the document written as JSON after its aliases are expanded. */
  maxBytes: number;
}

/** A block of anchors for retries and the like is used by many steps; more than this is an attack. */
const MAX_ALIASES = 1_000;

/**
 * Throws EngineError: `body_too_large`, `malformed_json` or `malformed_yaml` (the message has line and column),
 * `number_not_exact` or `not_storable` (with the pointer).
 */
export function parseDocument(text: string, format: DocumentFormat, limits: DocumentLimits): unknown {
  const bytes = Buffer.byteLength(text, 'utf8');
  if (bytes > limits.maxBytes) {
    const message = `The definition has ${bytes} bytes; at most ${limits.maxBytes} are allowed. Split it into several workflows.`;
    throw new EngineError('body_too_large', message);
  }
  const clean = text.startsWith('\uFEFF') ? text.slice(1) : text;
  return format === 'json' ? parseJson(clean, limits) : parseYaml(clean, limits);
}

function parseYaml(text: string, limits: DocumentLimits): unknown {
  const lines = new (yaml().LineCounter)();
  const tokens = parseTokens(text, lines, limits.maxDepth);
  const deep = tooDeepAt(tokens, limits.maxDepth);
  if (deep !== null) throw tooDeep(lines, deep, limits.maxDepth);
  const document = compose(tokens, text, lines);
  const numbers = new InexactNumbers();
  checkNodes(document, lines, numbers);
  assertExactNumbers(numbers);
  const value = toValue(document);
  assertStorable(value, limits);
  return value;
}

/** Stops at a collection that is certainly too deep: each open one takes kilobytes. */
function parseTokens(text: string, lines: LineCounter, maxDepth: number): CST.Token[] {
  const { Lexer, Parser } = yaml();
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  const tokens: CST.Token[] = [];
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    // The document and a scalar are on the stack too.
    const innermost = parser.stack.at(-1);
    if (parser.stack.length > maxDepth + 2 && innermost !== undefined)
      throw tooDeep(lines, innermost.offset, maxDepth);
  }
  tokens.push(...parser.end());
  return tokens;
}

function compose(tokens: readonly CST.Token[], text: string, lines: LineCounter): Document {
  const composer = new (yaml().Composer)({
    version: '1.2',
    schema: 'core',
    merge: false,
    resolveKnownTags: false,
    stringKeys: true,
    // Checked here: the library compares every two keys.
    uniqueKeys: false,
    logLevel: 'silent',
  });
  const documents = [...composer.compose(tokens, true, text.length)];
  const [document] = documents;
  if (document === undefined) throw new EngineError('malformed_yaml', 'The text has no YAML document.');
  const fault = documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])[0];
  if (fault !== undefined) throw malformed(lines, fault.pos[0], withoutDot(fault.message));
  if (documents.length > 1) {
    const start = documents[1]!.range?.[0] ?? 0;
    throw malformed(lines, start, 'a second document begins; a definition is one document');
  }
  return document;
}

/** The library's sentences begin with a capital and may go on over several lines. */
function withoutDot(message: string): string {
  return message.split('\n', 1)[0]!.replace(/[.:]$/, '');
}

/** Offset of the first collection below `maxDepth` levels of them, or null. */
function tooDeepAt(tokens: readonly CST.Token[], maxDepth: number): number | null {
  const open: { token: CST.Token; depth: number }[] = tokens.map((token) => ({ token, depth: 0 }));
  while (open.length > 0) {
    const { token, depth } = open.pop()!;
    const isCollection = 'items' in token;
    if (isCollection && depth >= maxDepth) return token.offset;
    for (const part of partsOf(token)) open.push({ token: part, depth: depth + (isCollection ? 1 : 0) });
  }
  return null;
}

function partsOf(token: CST.Token): CST.Token[] {
  if (token.type === 'document') return token.value === undefined ? [] : [token.value];
  if (!('items' in token)) return [];
  const items: { key?: CST.Token | null; value?: CST.Token }[] = token.items;
  return items.flatMap(({ key, value }) => [key, value]).filter((part) => part != null);
}

/** A node and its place in the document. */
interface Placed {
  readonly node: unknown;
  readonly segment: string | number;
  readonly parent: Placed | null;
}

/** Throws for a repeated key, and collects the numbers that are not exact. */
function checkNodes(document: Document, lines: LineCounter, numbers: InexactNumbers): void {
  const open: Placed[] = [{ node: document.contents, segment: '', parent: null }];
  for (let placed = open.pop(); placed !== undefined; placed = open.pop()) {
    const { node } = placed;
    if (yaml().isScalar(node)) checkNumber(node, placed, numbers);
    // The last part first: the stack gives them back in the order of the document.
    for (const [segment, part] of partsInside(node, lines).reverse()) {
      open.push({ node: part, segment, parent: placed });
    }
  }
}

function partsInside(node: unknown, lines: LineCounter): [string | number, unknown][] {
  const { isMap, isSeq } = yaml();
  if (isSeq(node)) return node.items.map((item, index) => [index, item]);
  if (!isMap(node)) return [];
  const met = new Set<string>();
  return node.items.map(({ key, value }) => {
    const { value: text, range } = key as Scalar;
    const name = String(text);
    if (met.has(name))
      throw malformed(lines, range?.[0] ?? 0, `the key ${JSON.stringify(name)} is there twice`);
    met.add(name);
    return [name, value];
  });
}

/** An alias counts where its anchor is. */
function checkNumber({ value, source }: Scalar, placed: Placed, numbers: InexactNumbers): void {
  if (typeof value !== 'number' || source === undefined || /^[-+]?\.(?:inf|nan)$/i.test(source)) return;
  if (!isExactNumber(source)) numbers.add(source, () => pointerTo(placed));
}

function pointerTo(placed: Placed): string {
  const segments: string[] = [];
  for (let at = placed; at.parent !== null; at = at.parent) segments.push(pointerSegment(at.segment));
  return segments.reverse().join('');
}

function toValue(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    const reason = cause instanceof Error ? withoutDot(cause.message) : String(cause);
    throw new EngineError('malformed_yaml', `This YAML cannot be read: ${reason}.`, [], cause);
  }
}

function tooDeep(lines: LineCounter, offset: number, maxDepth: number): EngineError {
  return malformed(lines, offset, `it is nested more than ${maxDepth} levels deep`);
}

function malformed(lines: LineCounter, offset: number, message: string): EngineError {
  const { line, col } = lines.linePos(offset);
  return new EngineError(
    'malformed_yaml',
    `This is not valid YAML: at line ${line}, column ${col}, ${message}.`,
  );
}
