/**
 * Finds text that looks like an expression of another language: `{{ input.x }}` or `${input.x}`.
 */
import type { Json } from '../../core/json/json.ts';
import { pointerSegment } from '../../core/problem.ts';
import { cutText } from '../../core/text/cut.ts';
import type { ProblemList } from '../problem-list.ts';
import type { ScopeDraft, StepDraft } from '../step-draft.ts';
import { ownParams } from './params.ts';

const ROOT = '\\s*\\$?(?:inputs?|steps|execution|secrets|vars|item|index|iteration|previous)\\s*(?:[.?[}])';
const MAX_SHOWN_LENGTH = 80;
const LOOKALIKE = new RegExp(`(?<!\\$)\\{\\{${ROOT}|\\$\\{(?!\\{)${ROOT}`);

export function warnLiterals(
  { drafts, output }: Pick<ScopeDraft, 'drafts' | 'output'>,
  warnings: ProblemList,
): void {
  for (const draft of drafts) warnStep(draft, warnings);
  if (output !== null) warnIn(output.value, output.pointer, warnings);
}

function warnStep({ step, type, pointer }: StepDraft, warnings: ProblemList): void {
  const deferred = new Set((type?.deferred ?? []).map((place) => place.split('/')[1]!));
  for (const [name, value] of Object.entries(ownParams(step.with ?? {}, type))) {
    // The code of a script may have template literals.
    if (!deferred.has(name)) warnIn(value as Json, `${pointer}/with${pointerSegment(name)}`, warnings);
  }
  if (step.concurrency !== null) warnIn(step.concurrency.key, `${pointer}/concurrency/key`, warnings);
  if (step.rateLimit !== null) warnIn(step.rateLimit.key, `${pointer}/rateLimit/key`, warnings);
}

function warnIn(value: Json, pointer: string, warnings: ProblemList): void {
  if (typeof value === 'string') warnText(value, pointer, warnings);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value))
      warnIn(item as Json, pointer + pointerSegment(key), warnings);
  }
}

function warnText(text: string, pointer: string, warnings: ProblemList): void {
  const found = text.includes('{') ? lookalikeIn(withoutExpressions(text)) : null;
  if (found === null) return;
  const message = `${JSON.stringify(found)} is plain text and is not evaluated; an expression is written \${{ input.x }}.`;
  warnings.add(pointer, 'literal_expression', message);
}

/** Returns the whole of the first lookalike, up to the braces that end it; null: there is none. */
function lookalikeIn(text: string): string | null {
  const found = LOOKALIKE.exec(text);
  if (found === null) return null;
  const [begin] = found;
  const close = begin.startsWith('{{') ? '}}' : '}';
  const end = text.indexOf(close, found.index);
  const whole = end === -1 ? text.slice(found.index) : text.slice(found.index, end + close.length);
  return cutText(whole, MAX_SHOWN_LENGTH);
}

/** A guess without parsing: the text between `${{` and the next `}}` is an expression. */
function withoutExpressions(text: string): string {
  let kept = '';
  let position = 0;
  for (;;) {
    const open = text.indexOf('${{', position);
    const close = open === -1 ? -1 : text.indexOf('}}', open);
    if (close === -1) return kept + text.slice(position);
    kept += `${text.slice(position, open)} `;
    position = close + 2;
  }
}
