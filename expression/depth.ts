/**
 * The depth of a parsed expression, measured without recursion, so that later walks may recurse.
 *
 * Every node below another is a level: a call, an operand, a branch, an item, a template, a function. A link of a
 * member chain (`a.b.c`) is a quarter of a level, since chains are long where data is deep, and do not branch.
 */
import type { AnyNode } from 'acorn';
import { childrenOf } from './binding.ts';

const MAX_DEPTH = 400;
const LINK = 0.25;

/** Returns whether a node has more levels than can be walked. */
export function isTooDeep(root: AnyNode): boolean {
  const open: { readonly node: AnyNode; readonly depth: number }[] = [{ node: root, depth: 1 }];
  while (open.length > 0) {
    const { node, depth } = open.pop()!;
    if (depth > MAX_DEPTH) return true;
    const below = depth + (node.type === 'MemberExpression' ? LINK : 1);
    for (const child of childrenOf(node)) open.push({ node: child, depth: below });
  }
  return false;
}
