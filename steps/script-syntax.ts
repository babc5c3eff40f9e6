/**
 * Checks that the code of a script is JavaScript, without running it.
 *
 * The parser knows all of the language that the sandbox runs; code that only the sandbox refuses fails the step.
 */
import { parse } from 'acorn';

/** As the sandbox builds it, so that the code can end the function it stands in as little as there. */
const HEAD = '(async function anonymous(input\n) {\n';
const TAIL = '\n})';

/** The parser takes a slash after a variable called `of` for the beginning of a regular expression. */
const SLASH_AFTER_OF = /\bof\s*\//;

/** Throws an Error with the problem and its place. */
export function checkScript(code: string): void {
  const source = HEAD + code + TAIL;
  const end = endOfFunction(source, code);
  if (end === null || end === source.length - 1) return;
  throw new Error('code ends the function that it is the body of: there is one } too many');
}

/** Where the function ends that the source begins with; null: unknown. */
function endOfFunction(source: string, code: string): number | null {
  try {
    const program = parse(source, { ecmaVersion: 'latest', sourceType: 'script' });
    const [statement] = program.body;
    return program.body.length === 1 && statement?.type === 'ExpressionStatement'
      ? statement.expression.end
      : -1;
  } catch (error) {
    // The sandbox may still run code that is too deep for the parser, or that the parser misreads.
    const isTooDeep = !(error instanceof SyntaxError) || error.message.includes('stack space');
    if (isTooDeep || SLASH_AFTER_OF.test(code)) return null;
    throw explained(error as SyntaxError & { pos?: number }, code);
  }
}

function explained({ message, pos = 0 }: SyntaxError & { pos?: number }, code: string): Error {
  const before = code.slice(0, Math.max(0, pos - HEAD.length));
  const line = before.split('\n').length;
  const column = before.length - before.lastIndexOf('\n');
  const reason = message.replace(/ \(\d+:\d+\)$/, '');
  const hint = code.includes('${{')
    ? '; expressions in code are not evaluated: pass the data in "input"'
    : '';
  return new Error(`code is not JavaScript: ${reason} (line ${line}, character ${column})${hint}`);
}
