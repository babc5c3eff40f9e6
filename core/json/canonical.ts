/**
 * Canonical text: equal values have equal text. JSON with the keys of every object sorted (RFC 8785).
 *
 * For hashes and comparisons of inputs and definitions. Not for storage: `jsonb` keeps its own order.
 *
 * Invariant 1: no recursion. Members that are undefined are absent, undefined items are null, as in JSON.stringify.
 */
import { createHash } from 'node:crypto';

interface Frame {
  readonly node: Readonly<Record<string, unknown>> | readonly unknown[];
  /** Null for an array. */
  readonly keys: readonly string[] | null;
  readonly length: number;
  next: number;
  written: number;
  /** The key of the frame's node. */
  readonly name: string;
}

/** Returns whether an object keeps its key order; `path` is the keys from the root to the object. */
type KeepsOrder = (frames: readonly Frame[], name: string) => boolean;

/** The canonical text of a JSON value (one that `findUnstorable` lets pass). */
export function canonicalJson(value: unknown): string {
  return typeof value === 'object' && value !== null ? write(value, () => false) : scalar(value);
}

/** Returns the SHA-256 (hex) of a JSON value: equal values have equal digests. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/**
 * Returns the SHA-256 (hex) of a definition document. Documents that are equivalent step for step have equal hashes.
 * The order of keys does not matter, except in `steps`, at the top level and in the `with` of a step.
 */
export function definitionFingerprint(document: unknown): string {
  const text =
    typeof document === 'object' && document !== null ? write(document, isSteps) : scalar(document);
  return createHash('sha256').update(text).digest('hex');
}

const isSteps: KeepsOrder = (frames, name) =>
  name === 'steps' && (frames.length === 1 || frames[frames.length - 1]?.name === 'with');

function scalar(value: unknown): string {
  return JSON.stringify(value) ?? 'null';
}

function write(root: object, keepsOrder: KeepsOrder): string {
  const parts: string[] = [];
  const frames: Frame[] = [];
  open(root, '', frames, parts, keepsOrder);
  while (frames.length > 0) {
    const frame = frames[frames.length - 1]!;
    if (frame.next >= frame.length) {
      parts.push(frame.keys === null ? ']' : '}');
      frames.pop();
      continue;
    }
    writeNext(frame, frames, parts, keepsOrder);
  }
  return parts.join('');
}

function writeNext(frame: Frame, frames: Frame[], parts: string[], keepsOrder: KeepsOrder): void {
  const index = frame.next++;
  const key = frame.keys === null ? null : frame.keys[index]!;
  const value =
    key === null ? (frame.node as readonly unknown[])[index] : (frame.node as Record<string, unknown>)[key];
  if (key !== null && value === undefined) return;
  if (frame.written++ > 0) parts.push(',');
  if (key !== null) parts.push(JSON.stringify(key), ':');
  if (typeof value === 'object' && value !== null) open(value, key ?? '', frames, parts, keepsOrder);
  else parts.push(scalar(value));
}

function open(node: object, name: string, frames: Frame[], parts: string[], keepsOrder: KeepsOrder): void {
  const isArray = Array.isArray(node);
  const keys = isArray ? null : Object.keys(node);
  // Array.prototype.sort compares UTF-16 units, as RFC 8785 asks.
  if (keys !== null && !keepsOrder(frames, name)) keys.sort();
  const length = keys === null ? (node as unknown[]).length : keys.length;
  frames.push({ node: node as Frame['node'], keys, length, next: 0, written: 0, name });
  parts.push(isArray ? '[' : '{');
}
