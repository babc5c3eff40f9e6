/**
 * Cuts a text that is too long, and marks the cut at its end.
 *
 * The masker (core/masking/) relies on the mark: a secret may have been cut in two there, and it hides the secret's
 * beginning.
 * So a text may be cut before it is masked, in places where the secrets are not known.
 */

/** End of every text that was cut. */
export const CUT_MARK = '… [cut]';

/**
 * Returns the text, or its beginning with the mark: at most `max` characters, never half of a surrogate pair at the
 * cut.
 */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const kept = text.slice(0, Math.max(0, max - CUT_MARK.length));
  const last = kept.charCodeAt(kept.length - 1);
  return (last >= 0xd800 && last <= 0xdbff ? kept.slice(0, -1) : kept) + CUT_MARK;
}
