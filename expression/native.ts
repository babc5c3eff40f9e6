/**
 * The fast lane: expressions that only read, compare, calculate and build are compiled to closures once and run
 * in this process, synchronously, with exactly the sandbox's result.
 *
 * Native are paths, optional chaining, literals, templates, comparisons, arithmetic, logic, conditionals, and object
 * and array literals with spread. Everything else (calls, functions, regular expressions, `in`, `**`, names that data
 * inherit) is left to the sandbox. A property test compares the two.
 *
 * Invariant 1: no code of a definition is ever given to the host's own evaluator.
 * Invariant 2: the work is bounded: the only loop is a spread, over MAX_SPREAD entries at most.
 */
import type { AnyNode, Expression, MemberExpression, ObjectExpression, Property } from 'acorn';
import type { Native, Scope } from './compiled.ts';
import { ExpressionError, quoteSource } from './expression-error.ts';
import { isStrictRoot, markStrict, type StrictRoot } from './missing-name.ts';
import { isRoot, KEYED_ROOTS } from './names.ts';
import { asData, markBuilt, readMember } from './native-member.ts';
import { BINARY, leaveToSandbox, MAX_NATIVE_TEXT, NotNative, primitive, UNARY } from './native-operators.ts';
import { staticKey } from './static-key.ts';

export { NotNative };

const MAX_SPREAD = 10_000;
const EMPTY = {};
/** The value of a chain when `?.` met null or undefined; it never leaves a ChainExpression. */
const SHORT = Symbol('short');

/** The closure of an expression, or null when it has something that only the sandbox computes. */
export function compileNative(ast: Expression, source: string): Native | null {
  try {
    return compile(ast, source);
  } catch (error) {
    if (error instanceof NotNative) return null;
    throw error;
  }
}

function compile(node: AnyNode, source: string): Native {
  switch (node.type) {
    case 'ParenthesizedExpression':
      return compile(node.expression, source);
    case 'Literal':
      return compileLiteral(node.value);
    case 'Identifier':
      return compileName(node.name);
    case 'MemberExpression':
      return compileMember(node, source);
    case 'ChainExpression':
      return compileChain(node.expression, source);
    case 'TemplateLiteral':
      return compileTemplate(
        node.quasis.map((part) => part.value.cooked ?? ''),
        node.expressions.map((part) => compile(part, source)),
      );
    case 'UnaryExpression':
      return compileUnary(node.operator, compile(node.argument, source));
    case 'BinaryExpression':
      return compileBinary(node.operator, compile(node.left, source), compile(node.right, source));
    case 'LogicalExpression':
      return compileLogical(node.operator, compile(node.left, source), compile(node.right, source));
    case 'ConditionalExpression': {
      const [test, yes, no] = [node.test, node.consequent, node.alternate].map((part) =>
        compile(part, source),
      );
      return (scope) => (test!(scope) ? yes!(scope) : no!(scope));
    }
    case 'ArrayExpression':
      return compileArray(node.elements, source);
    case 'ObjectExpression':
      return compileObject(node, source);
    default:
      return leaveToSandbox();
  }
}

function compileLiteral(value: unknown): Native {
  if (typeof value === 'bigint' || value instanceof RegExp) leaveToSandbox();
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) return () => value;
  return leaveToSandbox();
}

function compileName(name: string): Native {
  if (isStrictRoot(name)) return compileStrictRoot(name);
  if (isRoot(name)) {
    const fallback = KEYED_ROOTS.has(name) ? EMPTY : undefined;
    return (scope) => {
      const value = scope[name];
      return value === undefined ? fallback : asData(value, null);
    };
  }
  if (name === 'undefined') return () => undefined;
  if (name === 'NaN') return () => Number.NaN;
  if (name === 'Infinity') return () => Number.POSITIVE_INFINITY;
  return leaveToSandbox();
}

/** Its value is marked, so that reading an unknown name of it fails. */
function compileStrictRoot(root: StrictRoot): Native {
  const none = {};
  return (scope) => {
    const members = scope[root] ?? none;
    if (typeof members === 'object') markStrict(members, root);
    return members;
  };
}

function compileMember(node: MemberExpression, source: string): Native {
  if (node.object.type === 'Super') leaveToSandbox();
  const object = compile(node.object, source);
  const objectSource = source.slice(node.object.start, node.object.end);
  const fixed = staticKey(node);
  const key = fixed === null ? compile(node.property, source) : () => fixed;
  const { optional } = node;
  return (scope) => {
    const found = object(scope);
    if (found === SHORT || (optional && (found === null || found === undefined))) return SHORT;
    return readMember(found, key(scope), objectSource);
  };
}

function compileChain(node: AnyNode, source: string): Native {
  const chain = compile(node, source);
  return (scope) => {
    const value = chain(scope);
    return value === SHORT ? undefined : value;
  };
}

function compileTemplate(texts: readonly string[], values: readonly Native[]): Native {
  return (scope) => {
    let text = texts[0]!;
    for (const [position, value] of values.entries()) {
      text += String(primitive(value(scope))) + texts[position + 1]!;
      if (text.length > MAX_NATIVE_TEXT) leaveToSandbox();
    }
    return text;
  };
}

function compileUnary(operator: string, value: Native): Native {
  const operate = UNARY[operator] ?? leaveToSandbox();
  return (scope) => operate(value(scope));
}

function compileBinary(operator: string, left: Native, right: Native): Native {
  const operate = BINARY[operator] ?? leaveToSandbox();
  return (scope) => operate(left(scope), right(scope));
}

function compileLogical(operator: string, left: Native, right: Native): Native {
  if (operator === '&&') return (scope) => left(scope) && right(scope);
  if (operator === '||') return (scope) => left(scope) || right(scope);
  return (scope) => left(scope) ?? right(scope);
}

type Fill<T> = (target: T, scope: Scope) => void;

function compileArray(elements: readonly (AnyNode | null)[], source: string): Native {
  const fills = elements.map((element): Fill<unknown[]> => {
    if (element === null) return leaveToSandbox();
    if (element.type !== 'SpreadElement') {
      const value = compile(element, source);
      return (target, scope) => target.push(value(scope));
    }
    const value = compile(element.argument, source);
    const name = quoteSource(source.slice(element.argument.start, element.argument.end));
    return (target, scope) => target.push(...iterated(value(scope), name));
  });
  return (scope) => {
    const target: unknown[] = markBuilt([]);
    for (const fill of fills) fill(target, scope);
    return target;
  };
}

function iterated(value: unknown, name: string): unknown[] {
  if (Array.isArray(value))
    return bounded(value.length) ? value.map((item) => asData(item, value)) : leaveToSandbox();
  if (typeof value === 'string') return bounded(value.length) ? [...value] : leaveToSandbox();
  const found = value === null ? 'null' : typeof value;
  const message = `${name} is ${found}, and only an array or a text can be spread into an array`;
  throw new ExpressionError('expression_failed', message, { errorName: 'TypeError' });
}

function bounded(length: number): boolean {
  return length <= MAX_SPREAD;
}

function compileObject(node: ObjectExpression, source: string): Native {
  const fills = node.properties.map((property): Fill<object> => {
    if (property.type === 'Property') return compileProperty(property, source);
    const value = compile(property.argument, source);
    return (target, scope) => spreadInto(target, value(scope));
  });
  return (scope) => {
    const target = markBuilt({});
    for (const fill of fills) fill(target, scope);
    return target;
  };
}

function compileProperty(property: Property, source: string): Fill<object> {
  if (property.kind !== 'init' || property.method) leaveToSandbox();
  const value = compile(property.value, source);
  const fixed = propertyName(property);
  // `{ __proto__: x }` sets a prototype; only the computed form makes a member.
  if (fixed === '__proto__' && !property.computed) leaveToSandbox();
  const key = fixed === null ? compile(property.key, source) : () => fixed;
  return (target, scope) => define(target, String(primitive(key(scope))), value(scope));
}

function propertyName({ computed, key }: Property): string | null {
  if (!computed && key.type === 'Identifier') return key.name;
  if (key.type !== 'Literal') return null;
  return typeof key.value === 'string' || typeof key.value === 'number' ? String(key.value) : null;
}

/** Makes an own member of any name; assignment would run the setter of `__proto__`. */
export function define(target: object, name: string, value: unknown): void {
  if (name !== '__proto__') (target as Record<string, unknown>)[name] = value;
  else Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true });
}

function spreadInto(target: object, value: unknown): void {
  // QuickJS spreads no text into an object, which JavaScript would.
  if (typeof value === 'string') leaveToSandbox();
  if (typeof value !== 'object' || value === null) return;
  const keys = Object.keys(value);
  if (!bounded(keys.length)) leaveToSandbox();
  for (const key of keys) define(target, key, asData((value as Record<string, unknown>)[key], value));
}
