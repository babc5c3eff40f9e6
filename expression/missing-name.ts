/**
 * `secrets` and `vars`: reading a name that is not there fails the expression. Everywhere else a name that is not there
 * is undefined, and joined text would hide it: `Bearer ${{ secrets.TOKEN }}` would be sent as `Bearer `.
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

/** Says that the object is what the root stands for. */
export function markStrict(object: object, root: StrictRoot): void {
  if (!strict.has(object)) strict.set(object, root);
}

/** The root that the object stands for; undefined: none that is strict. */
export function strictRootOf(object: object): StrictRoot | undefined {
  return strict.get(object);
}

/** What an expression fails with that read the name. */
export function missingName(root: StrictRoot, name: string): ExpressionError {
  const { code, missing } = STRICT_ROOTS[root];
  return new ExpressionError(code, missing(JSON.stringify(name.slice(0, MAX_NAME))));
}
