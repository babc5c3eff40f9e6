/**
 * Hides user names and passwords of URLs, wherever a URL is shown.
 */
import { CUT_MARK } from './cut.ts';

const WORD = /[^\s"'<>`]+/g;
/** A password in the query of a URL, as PostgreSQL accepts it. */
const PASSWORD_PARAMETER = /([?&]password=)[^&#]*/gi;

/** The last character of a word that was cut. */
const CUT = CUT_MARK.charAt(0);

/** Returns the text with `***` for the user name and password of every URL in it. */
export function hideCredentials(text: string): string {
  return text.includes('://') ? text.replace(WORD, hidden) : text;
}

/** Hides up to the last `@`: a password that was not encoded may hold any of `/`, `?`, `#` and `@`. */
function hidden(word: string): string {
  const host = word.indexOf('://') + 3;
  if (host < 3) return word;
  const user = word.lastIndexOf('@');
  // The text may have been cut in the middle of a password.
  if (user < host && word.endsWith(CUT) && word.includes(':', host)) return `${word.slice(0, host)}***${CUT}`;
  const shown = user < host ? word : `${word.slice(0, host)}***@${word.slice(user + 1)}`;
  return shown.replace(PASSWORD_PARAMETER, '$1***');
}
