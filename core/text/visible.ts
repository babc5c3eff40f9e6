/**
 * Text of others as it may be shown to people: in the log and on a terminal.
 *
 * Control characters move a terminal's cursor, colour it or begin a line that nobody wrote; characters that change the
 * direction of text make it read as something else; others cannot be seen at all. All are written as JSON escapes: what
 * was there can be read, and a JSON text stays the same value.
 */

/** Controls, separators of lines and paragraphs, directions, what a renderer ignores, and halves of surrogate pairs. */
const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/gu;
const UNSEEN_BUT_LINES = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/gu;
/** Most text: nothing in it can be unseen. */
const PLAIN = /^[ -~]*$/;
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Returns the text with everything that cannot be seen as `\uXXXX`, line breaks too. */
export function visibleText(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNSEEN, escaped);
}

/** Likewise, for text that has lines of its own. */
export function visibleLines(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNSEEN_BUT_LINES, escaped);
}

function escaped(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  let units = '';
  for (let at = 0; at < character.length; at += 1)
    units += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
  return units;
}
