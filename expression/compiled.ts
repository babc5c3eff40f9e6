/**
 * Compiled values and conditions: the data that an evaluation needs.
 */
import { isObject, type Json } from '../core/json/json.ts';
import type { Problem } from '../core/problem.ts';
import type { InexactLiteral, MemberReference, NameReference } from '../core/step-type.ts';
import type { Read } from './analysis.ts';
import type { Root, StepProperty } from './names.ts';

/** The values that an expression may read. An absent member is undefined, or `{}` for the roots that are objects. */
export type Scope = { readonly [root in Root]?: unknown };

/** Computes the expression; throws ExpressionError when it fails, NotNative when the sandbox must run it. */
export type Native = (scope: Scope) => unknown;

/** One `${{ }}` of the value. */
export interface Part {
  readonly source: string;
  readonly pointer: string;
  readonly reads: readonly Read[];
  /** The code that the sandbox runs to compute it. */
  readonly code: string;
  /** Null when only the sandbox can compute it. */
  readonly native: Native | null;
  /** It only names a place in the scope, so its value is not larger than that and need not be settled. */
  readonly path: boolean;
}

export type Node =
  | { readonly kind: 'constant'; readonly value: Json }
  | { readonly kind: 'deferred'; readonly value: Json }
  | { readonly kind: 'value'; readonly part: number }
  | { readonly kind: 'text'; readonly segments: readonly (string | number)[] }
  | { readonly kind: 'array'; readonly items: readonly Node[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [string, Node])[] };

export interface StepReference {
  key: string;
  pointer: string;
  /** Null: the whole step, or a member that is known only at run time. */
  property: StepProperty | null;
}

export interface CompiledValue {
  /** Codes: expression_syntax, unknown_reference. Pointers are below the value. */
  readonly problems: readonly Problem[];
  readonly stepReferences: readonly StepReference[];
  readonly inputReferences: readonly { key: string; pointer: string }[];
  /** Names below `execution`, `secrets` and `vars`, each once for a string. */
  readonly memberReferences: readonly MemberReference[];
  /** Names that only some scopes know, each once for a string. */
  readonly nameReferences: readonly NameReference[];
  readonly inexactNumbers: readonly InexactLiteral[];
  readonly roots: ReadonlySet<Root>;
  /** `steps` is used in a way that does not name the steps, such as `steps[input.k]` or `Object.keys(steps)`. */
  readonly dynamicSteps: boolean;
  readonly dynamicInputs: boolean;
  /** It has no expressions (the deferred parts aside). */
  readonly constant: boolean;
  /** All of it is computed natively, unless a value at run time needs the sandbox. */
  readonly native: boolean;
  /** The expressions, which `node` refers to by position. */
  readonly parts: readonly Part[];
  readonly node: Node;
}

/** A compiled value whose only part gives true or false. */
export interface CompiledCondition extends CompiledValue {
  readonly condition: true;
}

/** Returns the value of a node that no expression has a part in; undefined: an expression says it. */
export function constantOf(node: Node): Json | undefined {
  switch (node.kind) {
    case 'constant':
      return node.value;
    case 'array': {
      const items = node.items.map(constantOf);
      return items.every((item) => item !== undefined) ? items : undefined;
    }
    case 'object': {
      const members = node.members.map(([name, member]) => [name, constantOf(member)] as const);
      return members.every((entry): entry is [string, Json] => entry[1] !== undefined)
        ? Object.fromEntries(members)
        : undefined;
    }
    case 'deferred':
    case 'value':
    case 'text':
      return undefined;
  }
}

/** Returns a member of a compiled object; undefined: it has none of that name. */
export function memberOf({ node }: Pick<CompiledValue, 'node'>, name: string): Node | undefined {
  if (node.kind === 'constant' && isObject(node.value) && Object.hasOwn(node.value, name))
    return { kind: 'constant', value: node.value[name]! };
  return node.kind === 'object' ? node.members.find(([own]) => own === name)?.[1] : undefined;
}
