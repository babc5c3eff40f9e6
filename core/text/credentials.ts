/**
 * User names and passwords of URLs, which must not be shown wherever a URL is.
 */

const WORD = /[^\s"'<>`]+/g;
/** As PostgreSQL takes it: in the query of a URL. */
const PASSWORD_PARAMETER = /([?&]password=)[^&#]*/gi;

/** Returns the text with `***` for the user name and password of every URL in it. */
export function hideCredentials(text: string): string {
  return text.includes('://') ? text.replace(WORD, hidden) : text;
}

/** Up to the last `@`: a password that was not encoded may hold any of `/`, `?`, `#` and `@`. */
function hidden(word: string): string {
  const host = word.indexOf('://') + 3;
  if (host < 3) return word;
  const user = word.lastIndexOf('@');
  const shown = user < host ? word : `${word.slice(0, host)}***@${word.slice(user + 1)}`;
  return shown.replace(PASSWORD_PARAMETER, '$1***');
}
