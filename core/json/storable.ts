/**
 * Checks whether a value can be stored as `jsonb`, before it is sent to the database.
 *
 * PostgreSQL refuses NUL and lone surrogates, JSON has no NaN, and a value nested too deeply overflows its
 * parser; one such value would fail the whole batch it is written with. This runs for every step output, so
 * the only allocations are one frame and one list of keys for each array and object.
 *
 * Invariant 1: no recursion; the work is bounded by the size of the value, and by `maxBytes` when it is given
 * (a value that shares its parts can be exponentially larger than it looks: give `maxBytes` for those).
 * Invariant 2: `null` means that `JSON.stringify` succeeds, and PostgreSQL stores what it returns.
 *
 * As in `JSON.stringify`, a member that is undefined counts as absent and an undefined array item as null.
 */
import type { Pieces } from '../pieces.ts';
import { pointerSegment } from '../problem.ts';

export interface StorableLimits {
  /** Allowed levels of arrays and objects; a scalar has none. */
  maxDepth: number;
  /** Most bytes of the value written as compact JSON in UTF-8; undefined: no limit. */
  maxBytes?: number | undefined;
}

export type UnstorableKind = 'text' | 'number' | 'type' | 'depth' | 'cycle' | 'size';

export interface Unstorable {
  /** JSON pointer of the place; for a bad key, the pointer of the object that has it. */
  pointer: string;
  kind: UnstorableKind;
  /** The fault, as the rest of a sentence whose subject is the value: `holds a NUL character (U+0000)`. */
  reason: string;
}

/** Counts made while a value is walked. */
export interface Tally {
  /** Members of all objects. */
  members: number;
}

/** Text that JSON writes unchanged, one byte per character: most text, and the quickest to check. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** Missing in some runtimes. */
const { isRawJSON: isRawJson } = JSON as { isRawJSON?: (value: unknown) => boolean };

/** Items and members that are visited in one piece, and the bytes after which it ends. */
const PIECE_VISITS = 5_000;
const PIECE_BYTES = 128 * 1_024;

/** Segments shown in the pointer of a value that is too deep. */
const DEPTH_SHOWN = 16;

interface Frame {
  readonly node: object;
  /** Null for an array. */
  readonly keys: readonly string[] | null;
  readonly length: number;
  next: number;
  /** Items or members written so far, for the commas. */
  written: number;
}

interface Walk {
  readonly limits: StorableLimits;
  readonly frames: Frame[];
  /** Whether bytes are counted. */
  readonly sized: boolean;
  readonly tally: Tally | undefined;
  bytes: number;
}

type Fault = Pick<Unstorable, 'kind' | 'reason'>;

/**
 * Returns the first fault that prevents storing a value, in document order, or null when it can be stored.
 * `tally` is complete in that case.
 */
export function findUnstorable(value: unknown, limits: StorableLimits, tally?: Tally): Unstorable | null {
  const walk = walkOf(limits, tally);
  const fault = visit(value, walk) ?? walkFrames(walk, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
  return faultIn(walk, fault);
}

/** The same for a large value, a piece at a time. */
export function* findUnstorableInPieces(value: unknown, limits: StorableLimits): Pieces<Unstorable | null> {
  const walk = walkOf(limits, undefined);
  let fault = visit(value, walk);
  while (fault === null && walk.frames.length > 0) {
    yield;
    fault = walkFrames(walk, PIECE_VISITS, walk.bytes + PIECE_BYTES);
  }
  return faultIn(walk, fault);
}

function walkOf(limits: StorableLimits, tally: Tally | undefined): Walk {
  return { limits, frames: [], sized: limits.maxBytes !== undefined, tally, bytes: 0 };
}

function faultIn({ frames }: Walk, fault: Fault | null): Unstorable | null {
  return fault === null ? null : { pointer: pointerOf(frames), ...fault };
}

/** Goes on with a walk, for so many visits and up to so many bytes. */
function walkFrames(walk: Walk, visits: number, untilBytes: number): Fault | null {
  const { frames } = walk;
  for (let left = visits; left > 0 && walk.bytes < untilBytes && frames.length > 0; left -= 1) {
    const frame = frames[frames.length - 1]!;
    if (frame.next >= frame.length) {
      frames.pop();
      continue;
    }
    const index = frame.next++;
    const fault = frame.keys === null ? visitItem(frame, index, walk) : visitMember(frame, index, walk);
    if (fault !== null) return fault;
  }
  return null;
}

function visitItem(frame: Frame, index: number, walk: Walk): Fault | null {
  if (frame.written++ > 0) walk.bytes += 1;
  return visit((frame.node as unknown[])[index] ?? null, walk);
}

function visitMember(frame: Frame, index: number, walk: Walk): Fault | null {
  const key = frame.keys![index]!;
  const value = (frame.node as Record<string, unknown>)[key];
  if (value === undefined) return null;
  const isPlain = PLAIN.test(key);
  const fault = isPlain ? null : textFault(key);
  if (fault !== null) {
    frame.next = -1;
    return { kind: fault.kind, reason: `has a key that ${fault.reason}` };
  }
  if (frame.written++ > 0) walk.bytes += 1;
  if (walk.sized) walk.bytes += (isPlain ? key.length + 2 : jsonTextBytes(key)) + 1;
  return visit(value, walk);
}

/** Checks a scalar, or opens an array or object. */
function visit(value: unknown, walk: Walk): Fault | null {
  switch (typeof value) {
    case 'string':
      if (PLAIN.test(value)) return charge(walk, value.length + 2);
      return textFault(value) ?? charge(walk, walk.sized ? jsonTextBytes(value) : 0);
    case 'number':
      if (!Number.isFinite(value))
        return { kind: 'number', reason: `is ${value}, which JSON cannot express` };
      return charge(walk, walk.sized ? String(value).length : 0);
    case 'boolean':
      return charge(walk, value ? 4 : 5);
    case 'object':
      return value === null ? charge(walk, 4) : open(value, walk);
    default:
      return { kind: 'type', reason: `is of type ${typeof value}, which JSON cannot express` };
  }
}

function open(node: object, walk: Walk): Fault | null {
  const foreign = foreignType(node);
  if (foreign !== null) return { kind: 'type', reason: `is of type ${foreign}, which JSON cannot express` };
  const { frames, limits } = walk;
  if (frames.length >= limits.maxDepth) return depthFault(walk);
  const keys = Array.isArray(node) ? null : Object.keys(node);
  const length = keys === null ? (node as unknown[]).length : keys.length;
  if (keys !== null && walk.tally !== undefined) walk.tally.members += length;
  const fault = charge(walk, 2);
  if (fault === null) frames.push({ node, keys, length, next: 0, written: 0 });
  return fault;
}

/** Keeps as many frames as the pointer should name: up to the circular reference, or enough to find the place. */
function depthFault({ frames, limits }: Walk): Fault {
  const met = new Set<object>();
  for (const [level, { node }] of frames.entries()) {
    if (met.has(node)) {
      frames.length = level;
      return { kind: 'cycle', reason: 'refers to something that contains it' };
    }
    met.add(node);
  }
  frames.length = Math.min(frames.length, DEPTH_SHOWN);
  return { kind: 'depth', reason: `is nested more than ${limits.maxDepth} levels deep` };
}

/** Returns the class name of an object that `JSON.stringify` would misrepresent, or null. */
function foreignType(node: object): string | null {
  if (Array.isArray(node)) return null;
  const prototype = Object.getPrototypeOf(node);
  if (prototype === Object.prototype) return null;
  // Raw JSON can write digits that no double holds.
  if (prototype === null) return isRawJson?.(node) === true ? 'raw JSON' : null;
  // A plain object of another realm: its prototype has no prototype.
  if (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'hasOwnProperty')) return null;
  const name: unknown = prototype.constructor?.name;
  return typeof name === 'string' && name !== '' ? name : 'class instance';
}

function textFault(text: string): Fault | null {
  if (text.includes('\0')) return { kind: 'text', reason: 'holds a NUL character (U+0000)' };
  if (!text.isWellFormed())
    return { kind: 'text', reason: 'holds a lone surrogate, which is no Unicode text' };
  return null;
}

function charge(walk: Walk, bytes: number): Fault | null {
  walk.bytes += bytes;
  const { maxBytes } = walk.limits;
  if (maxBytes === undefined || walk.bytes <= maxBytes) return null;
  return { kind: 'size', reason: `makes the whole larger than ${maxBytes} bytes` };
}

/** Returns the bytes of a well-formed text as a JSON string, quotes included. */
function jsonTextBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text), 'utf8');
}

function pointerOf(frames: readonly Frame[]): string {
  let pointer = '';
  for (const { keys, next } of frames) {
    // -1 when a key itself is at fault: the pointer then names the object.
    if (next < 0) break;
    pointer += pointerSegment(keys === null ? next - 1 : keys[next - 1]!);
  }
  return pointer;
}
