/**
 * Reading a member of plain data, exactly as the sandbox reads it.
 *
 * An own member is read here, an unknown name is undefined, and a name that the value inherits (a method,
 * `constructor`, `__proto__`) is left to the sandbox, where it cannot reach anything of the host.
 *
 * Invariant 1: no member of a host prototype is ever returned.
 * Invariant 2: numbers of the scope are read as JSON has them, -0 as 0 and numbers that are not finite as null; those
 * that the expression made itself stay as they are.
 */
import { ExpressionError, quoteSource } from './expression-error.ts';
import { missingName, strictRootOf } from './missing-name.ts';
import { INHERITED } from './names.ts';
import { leaveToSandbox, primitive } from './native-operators.ts';

/** Objects and arrays that expressions have built, as opposed to those of a scope. */
const built = new WeakSet<object>();

/** Marks the object as built by an expression. */
export function markBuilt<T extends object>(object: T): T {
  built.add(object);
  return object;
}

/** The value read from `holder` (null: the scope itself), as it would be in the sandbox. */
export function asData(value: unknown, holder: object | null): unknown {
  if (typeof value !== 'number' || (value !== 0 && Number.isFinite(value))) return value;
  if (Object.is(value, 0) || (holder !== null && built.has(holder))) return value;
  return value === 0 ? 0 : null;
}

/** Reads `object[key]`; `objectSource` is how the expression names the object, for the message. */
export function readMember(object: unknown, key: unknown, objectSource: string): unknown {
  if (object === null || object === undefined) throw missing(object, key, objectSource);
  const name = String(primitive(key));
  if (typeof object === 'object') return readOwn(object, name);
  if (typeof object === 'string') return readText(object, name);
  if (INHERITED[typeof object as 'number' | 'boolean'].has(name)) leaveToSandbox();
  return undefined;
}

function readOwn(object: object, name: string): unknown {
  if (Object.hasOwn(object, name)) return asData((object as Record<string, unknown>)[name], object);
  const inherited = Array.isArray(object) ? INHERITED.array : INHERITED.object;
  if (inherited.has(name)) leaveToSandbox();
  const root = strictRootOf(object);
  if (root === undefined) return undefined;
  if (name === 'toJSON') leaveToSandbox();
  throw missingName(root, name);
}

function readText(text: string, name: string): unknown {
  if (name === 'length') return text.length;
  if (Object.hasOwn(Object(text), name)) return text[Number(name)];
  return INHERITED.string.has(name) ? leaveToSandbox() : undefined;
}

function missing(object: null | undefined, key: unknown, objectSource: string): ExpressionError {
  const name = typeof key === 'string' && /^[A-Za-z_$][\w$]*$/.test(key) ? key : null;
  const source = quoteSource(objectSource);
  const access = name === null ? `[${JSON.stringify(key) ?? 'undefined'}]` : `.${name}`;
  const optional = name === null ? `?.${access}` : `?.${name}`;
  const message = `${source} is ${object}, so ${access} cannot be read; write ${source}${optional} where it may be missing`;
  return new ExpressionError('expression_failed', message, { errorName: 'TypeError' });
}
