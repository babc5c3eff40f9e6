/**
 * The names an expression may use: the roots of its scope and the globals of the sandbox, and the names that
 * plain data inherits from JavaScript's prototypes.
 *
 * Invariant 1: every name of SANDBOX_GLOBALS exists in the sandbox; a test asks it.
 * Invariant 2: the INHERITED sets hold every name of the sandbox's prototypes; a test asks it. A name that is
 * missing there would read as undefined natively and as a method in the sandbox.
 */
import { SCOPE_NAMES, type ScopeName } from '../core/template.ts';

export const ROOTS = ['input', 'steps', 'inputs', 'execution', ...SCOPE_NAMES, 'secrets', 'vars'] as const;
export type Root = (typeof ROOTS)[number];

const ROOT_NAMES: ReadonlySet<string> = new Set(ROOTS);

export function isRoot(name: string): name is Root {
  return ROOT_NAMES.has(name);
}

/** Returns whether a root has a value only in some scopes. */
export function isScopeName(root: Root): root is ScopeName {
  return SCOPE_NAMES.some((name) => name === root);
}

/** Roots that are objects by definition, so that their first segment is a key of the engine. */
export const KEYED_ROOTS: ReadonlySet<string> = new Set(['steps', 'inputs', 'execution', 'secrets', 'vars']);

/** The members of `steps.<key>`. */
export const STEP_PROPERTIES = ['output', 'status', 'error', 'route'] as const;
export type StepProperty = (typeof STEP_PROPERTIES)[number];

/** `eval`, `Function` and `globalThis` are left out: they would hide references from the check. */
export const SANDBOX_GLOBALS: ReadonlySet<string> = new Set(
  `undefined NaN Infinity Object Array String Number Boolean Symbol BigInt Math JSON Date RegExp Map Set WeakMap
  WeakSet Promise Proxy Reflect Iterator Error EvalError RangeError ReferenceError SyntaxError TypeError URIError
  AggregateError parseInt parseFloat isNaN isFinite encodeURI encodeURIComponent decodeURI decodeURIComponent escape
  unescape ArrayBuffer DataView Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array
  Float32Array Float64Array BigInt64Array BigUint64Array`.split(/\s+/),
);

const OBJECT_NAMES = `constructor toString toLocaleString valueOf hasOwnProperty isPrototypeOf propertyIsEnumerable
  __proto__ __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__`;
const ARRAY_NAMES = `at with concat every some forEach map filter reduce reduceRight fill find findIndex findLast
  findLastIndex indexOf lastIndexOf includes join pop push shift unshift reverse toReversed sort toSorted slice splice
  toSpliced copyWithin flatMap flat values keys entries`;
const STRING_NAMES = `at charCodeAt charAt concat codePointAt isWellFormed toWellFormed indexOf lastIndexOf includes
  endsWith startsWith match matchAll search split substring substr slice repeat replace replaceAll padEnd padStart trim
  trimEnd trimRight trimStart trimLeft localeCompare normalize toLowerCase toUpperCase toLocaleLowerCase
  toLocaleUpperCase anchor big blink bold fixed fontcolor fontsize italics link small strike sub sup`;
const NUMBER_NAMES = 'toExponential toFixed toPrecision';

function named(own: string): ReadonlySet<string> {
  return new Set(`${OBJECT_NAMES} ${own}`.trim().split(/\s+/));
}

/** Names inherited by a plain value of the type; an own property of the same name comes first. */
export const INHERITED = {
  object: named(''),
  array: named(ARRAY_NAMES),
  string: named(STRING_NAMES),
  number: named(NUMBER_NAMES),
  boolean: named(''),
} as const;

const INHERITED_BY_ANY: ReadonlySet<string> = new Set(
  Object.values(INHERITED).flatMap((names) => [...names]),
);

/** Returns whether some plain value has a member of this name without owning it. */
export function isInheritedByAny(name: string): boolean {
  return INHERITED_BY_ANY.has(name);
}
