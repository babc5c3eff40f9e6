/**
 * The references of one parsed expression, and the parts of it that are not allowed.
 *
 * Not here: whether a referenced step exists or is upstream; the lint of the definition checks that.
 *
 * Invariant 1: every read of a root is covered by one of `reads`, so that sending only those parts of the scope to the
 * sandbox changes nothing. Names that plain data inherits end a read at the object before them.
 * Invariant 2: names are resolved per function, not per block; a name bound anywhere in a function counts as bound in
 * all of it. A name that this misses fails in the sandbox like any undeclared name.
 *
 * The depth of a parsed expression is bounded (depth.ts), so the walk may recurse.
 */
import type {
  AnyNode,
  ArrowFunctionExpression,
  AssignmentExpression,
  Expression,
  ForInStatement,
  ForOfStatement,
  FunctionDeclaration,
  FunctionExpression,
  Identifier,
  LabeledStatement,
  Literal,
  MemberExpression,
  Property,
  UnaryExpression,
  UpdateExpression,
} from 'acorn';
import { isExactNumber } from '../core/json/exact-number.ts';
import { didYouMean } from '../core/text/nearest.ts';
import { boundNames, childrenOf, hoistedNames } from './binding.ts';
import {
  INHERITED,
  isInheritedByAny,
  isRoot,
  KEYED_ROOTS,
  ROOTS,
  type Root,
  SANDBOX_GLOBALS,
} from './names.ts';
import { staticKey } from './static-key.ts';

/** A root and the static keys after it; only the root itself means all of it. */
export type Read = readonly [Root, ...string[]];

export interface Issue {
  code: 'expression_syntax' | 'unknown_reference';
  message: string;
  /** Position in the expression's source. */
  offset: number;
}

export interface Analysis {
  reads: readonly Read[];
  issues: readonly Issue[];
  /** As they are written. */
  inexactNumbers: readonly string[];
}

const MAX_READ_DEPTH = 8;
/** The maximum of issues of one expression; a person mends the first ones first. */
const MAX_ISSUES = 20;

interface Walk {
  readonly source: string;
  readonly reads: Read[];
  readonly issues: Issue[];
  readonly inexactNumbers: string[];
  readonly locals: ReadonlySet<string>[];
}

/** Collects the reads and issues of one expression. Pure; never throws. */
export function analyse(ast: Expression, source: string): Analysis {
  const walk: Walk = { source, reads: [], issues: [], inexactNumbers: [], locals: [] };
  visit(ast, walk);
  const { reads, issues, inexactNumbers } = walk;
  return { reads, issues, inexactNumbers };
}

const FORBIDDEN: Readonly<Record<string, string>> = {
  AwaitExpression: 'await is not allowed: an expression is not asynchronous; a script step takes await',
  YieldExpression: 'yield is not allowed in an expression',
  ImportExpression: 'import is not allowed in an expression',
  MetaProperty: 'import.meta and new.target are not allowed in an expression',
  ThisExpression: '"this" has no meaning in an expression; name input, steps or another root instead',
  ClassExpression: 'classes are not allowed in an expression; a script step takes them',
  ClassDeclaration: 'classes are not allowed in an expression; a script step takes them',
};

function visit(node: AnyNode, walk: Walk): void {
  const forbidden = FORBIDDEN[node.type];
  if (forbidden !== undefined) {
    refuse(node, forbidden, walk);
    return;
  }
  const special = SPECIAL[node.type];
  if (special === undefined) visitChildren(node, walk);
  else special(node as never, walk);
}

/** The kinds of nodes whose children are not simply visited. */
const SPECIAL: Readonly<Record<string, (node: never, walk: Walk) => void>> = {
  Identifier: visitName,
  Literal: visitLiteral,
  MemberExpression: visitMember,
  ArrowFunctionExpression: visitFunction,
  FunctionExpression: visitFunction,
  FunctionDeclaration: visitFunction,
  AssignmentExpression: visitAssignment,
  ForInStatement: visitAssignment,
  ForOfStatement: visitAssignment,
  UpdateExpression: visitChange,
  UnaryExpression: visitUnary,
  Property: visitProperty,
  LabeledStatement: (node: LabeledStatement, walk) => visit(node.body, walk),
  BreakStatement: () => undefined,
  ContinueStatement: () => undefined,
};

function visitAssignment(node: AssignmentExpression | ForInStatement | ForOfStatement, walk: Walk): void {
  checkTarget(node.left, walk);
  visitChildren(node, walk);
}

function visitChange(node: UpdateExpression | UnaryExpression, walk: Walk): void {
  checkTarget(node.argument, walk);
  visitChildren(node, walk);
}

function visitUnary(node: UnaryExpression, walk: Walk): void {
  if (node.operator === 'delete') visitChange(node, walk);
  else visitChildren(node, walk);
}

function visitProperty({ computed, key, value }: Property, walk: Walk): void {
  if (computed) visit(key, walk);
  visit(value, walk);
}

function visitChildren(node: AnyNode, walk: Walk): void {
  for (const child of childrenOf(node)) visit(child, walk);
}

function refuse(node: AnyNode, message: string, { issues }: Walk): void {
  if (issues.length < MAX_ISSUES) issues.push({ code: 'expression_syntax', message, offset: node.start });
}

function isLocal(name: string, walk: Walk): boolean {
  return walk.locals.some((names) => names.has(name));
}

function visitLiteral({ value, raw = '' }: Literal, { inexactNumbers }: Walk): void {
  if (typeof value === 'number' && !isExactNumber(raw.replaceAll('_', ''))) inexactNumbers.push(raw);
}

function visitName(node: Identifier, walk: Walk): void {
  const { name } = node;
  if (isLocal(name, walk)) return;
  if (isRoot(name)) walk.reads.push([name]);
  else if (!SANDBOX_GLOBALS.has(name) && walk.issues.length < MAX_ISSUES)
    walk.issues.push(unknownName(node, walk));
}

function unknownName({ name, start }: Identifier, { source }: Walk): Issue {
  const hyphen = /[\w$]-$/.test(source.slice(Math.max(0, start - 2), start))
    ? ' A key with a hyphen is written in brackets: steps["my-step"].'
    : '';
  const near = didYouMean(name, [...ROOTS, ...SANDBOX_GLOBALS]);
  const message = `"${name}" is not known here; an expression knows ${ROOTS.join(', ')}.${near}${hyphen}`;
  return { code: 'unknown_reference', message, offset: start };
}

function visitMember(node: MemberExpression, walk: Walk): void {
  const members: MemberExpression[] = [];
  let base: AnyNode = node;
  for (;;) {
    if (base.type === 'ChainExpression' || base.type === 'ParenthesizedExpression') base = base.expression;
    else if (base.type === 'MemberExpression') {
      members.push(base);
      base = base.object;
    } else break;
  }
  members.reverse();
  for (const member of members) if (member.computed) visit(member.property, walk);
  if (base.type === 'Identifier' && isRoot(base.name) && !isLocal(base.name, walk)) {
    walk.reads.push([base.name, ...readKeys(base.name, members)]);
  } else visit(base, walk);
}

function readKeys(root: Root, members: readonly MemberExpression[]): string[] {
  const keys: string[] = [];
  for (const member of members) {
    const key = staticKey(member);
    if (key === null || keys.length === MAX_READ_DEPTH) break;
    const ours = keys.length === 0 && KEYED_ROOTS.has(root);
    if (ours ? INHERITED.object.has(key) : isInheritedByAny(key)) break;
    keys.push(key);
  }
  return keys;
}

type FunctionNode = ArrowFunctionExpression | FunctionExpression | FunctionDeclaration;

function visitFunction(node: FunctionNode, walk: Walk): void {
  if (node.async) refuse(node, 'an expression cannot be asynchronous; a script step takes async', walk);
  if (node.generator) refuse(node, 'generators are not allowed in an expression', walk);
  const names = new Set<string>();
  for (const param of node.params) boundNames(param, names);
  if (node.id != null) names.add(node.id.name);
  if (node.type !== 'ArrowFunctionExpression') names.add('arguments');
  if (node.body.type === 'BlockStatement') hoistedNames(node.body, names);
  walk.locals.push(names);
  for (const param of node.params) visit(param, walk);
  visit(node.body, walk);
  walk.locals.pop();
}

/** A function may assign to what it declares itself; the scope of the expression is read-only. */
function checkTarget(target: AnyNode, walk: Walk): void {
  let base = target;
  while (
    base.type === 'MemberExpression' ||
    base.type === 'ParenthesizedExpression' ||
    base.type === 'ChainExpression'
  ) {
    base = base.type === 'MemberExpression' ? base.object : base.expression;
  }
  if (base.type === 'VariableDeclaration') return;
  const names = new Set<string>();
  boundNames(base, names);
  if (names.size > 0 && [...names].every((name) => isLocal(name, walk))) return;
  refuse(target, 'an expression cannot assign to or change its scope; compare with ===', walk);
}
