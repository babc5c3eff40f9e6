/**
 * The key that a member expression reads.
 */
import type { AnyNode, MemberExpression } from 'acorn';

/** Returns the key where the source alone says it, otherwise null. */
export function staticKey({ computed, property }: MemberExpression): string | null {
  if (!computed) return property.type === 'Identifier' ? property.name : null;
  let node: AnyNode = property;
  while (node.type === 'ParenthesizedExpression') node = node.expression;
  if (node.type === 'Literal') {
    return typeof node.value === 'string' || typeof node.value === 'number' ? String(node.value) : null;
  }
  if (node.type === 'TemplateLiteral' && node.expressions.length === 0)
    return node.quasis[0]!.value.cooked ?? null;
  return null;
}
