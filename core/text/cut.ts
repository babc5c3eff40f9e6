/**
 * A text that is too long is cut, and says so at its end.
 *
 * The mark is more than a courtesy: the masker (core/masking/) knows by it that a secret may have been cut in two there,
 * and hides its beginning. So a text may be cut before it is masked, where the secrets are not known.
 */

/** Ends every text that was cut. */
export const CUT_MARK = '… [cut]';

/** The text, or its beginning with the mark; `max` characters at most, and no half of a surrogate pair at the cut. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const kept = text.slice(0, Math.max(0, max - CUT_MARK.length));
  const last = kept.charCodeAt(kept.length - 1);
  return (last >= 0xd800 && last <= 0xdbff ? kept.slice(0, -1) : kept) + CUT_MARK;
}
