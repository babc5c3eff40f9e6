/**
 * The secret of a signature as a definition has it: text, or the name of a secret of the engine.
 */

const NAMED = /^\s*\$\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}\s*$/;

/** Returns the name in `${{ secrets.NAME }}`; null: the text is the secret itself. */
export function secretNameIn(text: string): string | null {
  return NAMED.exec(text)?.[1] ?? null;
}

/** Throws an Error for text that holds an expression other than the name of a secret. */
export function checkSecret(text: unknown): void {
  if (typeof text !== 'string' || !text.includes('${{') || secretNameIn(text) !== null) return;
  throw new Error('secret takes text, or exactly ${{ secrets.NAME }}: it is read when a request comes');
}
