/**
 * `secrets` and `vars`: reading an unknown name fails the expression. Everywhere else an unknown name is undefined, and
 * joined text would hide that: `Bearer ${{ secrets.TOKEN }}` would be sent as `Bearer `.
 *
 * Natively the objects of the two roots are marked; in the sandbox they are proxies (sandbox/prelude.ts).
 */
import { ExpressionError } from './expression-error.ts';

const STRICT_ROOTS = {
  secrets: {
    code: 'secret_missing',
    missing: (name: string) =>
      `there is no secret ${name}; add it to the file that EXECUTION_ENGINE_SECRETS_FILE names, or mend the name`,
  },
  vars: {
    code: 'variable_missing',
    missing: (name: string) =>
      `there is no variable ${name}; pass the value as an input or write it down here`,
  },
} as const;

export type StrictRoot = keyof typeof STRICT_ROOTS;

const MAX_NAME = 200;
const strict = new WeakMap<object, StrictRoot>();

export function isStrictRoot(root: string): root is StrictRoot {
  return Object.hasOwn(STRICT_ROOTS, root);
}

/** Marks the object as the value of the root. */
export function markStrict(object: object, root: StrictRoot): void {
  if (!strict.has(object)) strict.set(object, root);
}

/** The strict root whose value the object is; undefined: none. */
export function strictRootOf(object: object): StrictRoot | undefined {
  return strict.get(object);
}

/** The failure of an expression that read the name. */
export function missingName(root: StrictRoot, name: string): ExpressionError {
  const { code, missing } = STRICT_ROOTS[root];
  return new ExpressionError(code, missing(JSON.stringify(name.slice(0, MAX_NAME))));
}
