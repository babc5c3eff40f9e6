/**
 * The names that a pattern or the body of a function binds, and the children of a syntax node.
 */
import type { AnyNode } from 'acorn';

/** The nodes directly below a node, in the order of its fields. */
export function* childrenOf(node: AnyNode): Generator<AnyNode> {
  for (const value of Object.values(node) as unknown[]) {
    if (isNode(value)) yield value;
    else if (Array.isArray(value)) for (const item of value) if (isNode(item)) yield item;
  }
}

function isNode(value: unknown): value is AnyNode {
  return (
    typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
  );
}

/** Adds the names that a parameter, a declaration or an assignment target binds. */
export function boundNames(pattern: AnyNode, into: Set<string>): void {
  switch (pattern.type) {
    case 'Identifier':
      into.add(pattern.name);
      return;
    case 'AssignmentPattern':
      boundNames(pattern.left, into);
      return;
    case 'RestElement':
      boundNames(pattern.argument, into);
      return;
    case 'ArrayPattern':
      for (const element of pattern.elements) if (element !== null) boundNames(element, into);
      return;
    case 'ObjectPattern':
      for (const property of pattern.properties) {
        boundNames(property.type === 'Property' ? property.value : property, into);
      }
  }
}

/** Adds every name that is declared in a function's body, in any block, but not in functions inside it. */
export function hoistedNames(body: AnyNode, into: Set<string>): void {
  for (const child of childrenOf(body)) {
    if (child.type === 'VariableDeclarator') boundNames(child.id, into);
    if (child.type === 'CatchClause' && child.param != null) boundNames(child.param, into);
    if (child.type === 'FunctionDeclaration') {
      if (child.id !== null) into.add(child.id.name);
      continue;
    }
    if (child.type === 'FunctionExpression' || child.type === 'ArrowFunctionExpression') continue;
    hoistedNames(child, into);
  }
}
