/**
 * JavaScript's operators on plain values, exactly as the sandbox computes them.
 *
 * Where the host could differ from the sandbox (objects turned into text, identity of two objects, `**`) or would have
 * to work long, the operation is left to the sandbox: `leaveToSandbox` throws the signal for it.
 */

/** Thrown by native code that finds out at run time that only the sandbox can compute an expression. */
export class NotNative extends Error {}

const NOT_NATIVE = new NotNative('not native');

export function leaveToSandbox(): never {
  throw NOT_NATIVE;
}

/** Longest text that native code builds; longer ones are left to the sandbox, whose memory is bounded. */
export const MAX_NATIVE_TEXT = 262_144;

type Primitive = string | number | boolean | null | undefined;
type Binary = (left: unknown, right: unknown) => unknown;

/** The value if it is a primitive; turning objects into primitives runs methods and is left to the sandbox. */
export function primitive(value: unknown): Primitive {
  if (typeof value === 'object' && value !== null) leaveToSandbox();
  return value as Primitive;
}

function bothObjects(left: unknown, right: unknown): boolean {
  return typeof left === 'object' && left !== null && typeof right === 'object' && right !== null;
}

// Parts of the scope may share objects in this process that are copies in the sandbox.
function strictEquals(left: unknown, right: unknown): boolean {
  return bothObjects(left, right) ? leaveToSandbox() : left === right;
}

function looseEquals(left: unknown, right: unknown): boolean {
  if (left === null || left === undefined || right === null || right === undefined) {
    return (left ?? null) === (right ?? null);
  }
  // biome-ignore lint/suspicious/noDoubleEquals: this is the operator.
  return primitive(left) == primitive(right);
}

function add(left: unknown, right: unknown): unknown {
  const [a, b] = [primitive(left), primitive(right)];
  if (typeof a !== 'string' && typeof b !== 'string') return Number(a) + Number(b);
  const text = String(a) + String(b);
  return text.length > MAX_NATIVE_TEXT ? leaveToSandbox() : text;
}

function compare(
  left: unknown,
  right: unknown,
  test: (a: string | number, b: string | number) => boolean,
): boolean {
  const [a, b] = [primitive(left), primitive(right)];
  return typeof a === 'string' && typeof b === 'string' ? test(a, b) : test(Number(a), Number(b));
}

function numeric(operate: (a: number, b: number) => number): Binary {
  return (left, right) => {
    const [a, b] = [primitive(left), primitive(right)];
    return operate(Number(a), Number(b));
  };
}

export const BINARY: Readonly<Record<string, Binary>> = {
  '===': strictEquals,
  '!==': (left, right) => !strictEquals(left, right),
  '==': looseEquals,
  '!=': (left, right) => !looseEquals(left, right),
  '<': (left, right) => compare(left, right, (a, b) => a < b),
  '<=': (left, right) => compare(left, right, (a, b) => a <= b),
  '>': (left, right) => compare(left, right, (a, b) => a > b),
  '>=': (left, right) => compare(left, right, (a, b) => a >= b),
  '+': add,
  '-': numeric((a, b) => a - b),
  '*': numeric((a, b) => a * b),
  '/': numeric((a, b) => a / b),
  '%': numeric((a, b) => a % b),
  '&': numeric((a, b) => a & b),
  '|': numeric((a, b) => a | b),
  '^': numeric((a, b) => a ^ b),
  '<<': numeric((a, b) => a << b),
  '>>': numeric((a, b) => a >> b),
  '>>>': numeric((a, b) => a >>> b),
};

export const UNARY: Readonly<Record<string, (value: unknown) => unknown>> = {
  '!': (value) => !value,
  '-': (value) => -Number(primitive(value)),
  '+': (value) => Number(primitive(value)),
  '~': (value) => ~Number(primitive(value)),
  typeof: (value) => typeof value,
  void: () => undefined,
};
