/**
 * Hides user names and passwords of URLs, wherever a URL is shown.
 */

const WORD = /[^\s"'<>`]+/g;
/** A password in the query of a URL, as PostgreSQL accepts it. */
const PASSWORD_PARAMETER = /([?&]password=)[^&#]*/gi;

/** Returns the text with `***` for the user name and password of every URL in it. */
export function hideCredentials(text: string): string {
  return text.includes('://') ? text.replace(WORD, hidden) : text;
}

/** Hides up to the last `@`: a password that was not encoded may hold any of `/`, `?`, `#` and `@`. */
function hidden(word: string): string {
  const host = word.indexOf('://') + 3;
  if (host < 3) return word;
  const user = word.lastIndexOf('@');
  const shown = user < host ? word : `${word.slice(0, host)}***@${word.slice(user + 1)}`;
  return shown.replace(PASSWORD_PARAMETER, '$1***');
}
