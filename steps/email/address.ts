/**
 * Mail addresses: `ada@example.com`, or `Ada Lovelace <ada@example.com>`.
 *
 * A text holds one address. It is read here alone and handed on in two parts, so that nothing after it has to parse what
 * a workflow's data made of it.
 */

export interface MailAddress {
  /** Empty: none. */
  readonly name: string;
  readonly address: string;
}

export const ADDRESS_ACCEPTED = 'one address, such as "ada@example.com" or "Ada Lovelace <ada@example.com>"';
export const MAX_ADDRESS_LENGTH = 400;

/** The longest path in SMTP (RFC 5321, 4.5.3.1.3) without its brackets. */
const MAX_PATH_LENGTH = 254;
const LABEL = '[\\p{L}\\p{N}](?:[\\p{L}\\p{N}-]{0,61}[\\p{L}\\p{N}])?';
const PATH = new RegExp(`^[^\\s\\p{Cc}"(),:;<>@[\\]\\\\]{1,64}@${LABEL}(?:\\.${LABEL})*$`, 'u');
const UNQUOTED_NAME = /^[^\p{Cc}"<>@,;\\]*$/u;
const QUOTED_NAME = /^"((?:[^\p{Cc}"\\]|\\[^\p{Cc}])*)"$/u;

/** Returns the address that a text holds; null: it holds none, or more than one. */
export function parseAddress(text: string): MailAddress | null {
  if (text.length > MAX_ADDRESS_LENGTH) return null;
  const trimmed = text.trim();
  const bracket = trimmed.endsWith('>') ? trimmed.lastIndexOf('<') : -1;
  const address = bracket < 0 ? trimmed : trimmed.slice(bracket + 1, -1);
  const name = bracket < 0 ? '' : readName(trimmed.slice(0, bracket).trim());
  if (name === null || address.length > MAX_PATH_LENGTH || !PATH.test(address)) return null;
  return { name, address };
}

/** Returns the domain in lower case: domains have no case. */
export function domainOf({ address }: MailAddress): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}

function readName(text: string): string | null {
  const quoted = QUOTED_NAME.exec(text)?.[1];
  if (quoted !== undefined) return quoted.replace(/\\(.)/gu, '$1');
  return UNQUOTED_NAME.test(text) ? text : null;
}
