/**
 * The token of a `webhook` step's URL: it names the step execution, and only engines of one database can make it.
 *
 * It is derived and stored nowhere: an execution's id, the step's position and its scope, with a MAC of these under a key
 * that the database keeps. So a scope's expressions know the URL before the step begins, and a token that was made up is
 * refused without a look at any row.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface HookAddress {
  readonly executionId: string;
  /** '' is the top level. */
  readonly scope: string;
  /** The place of the step in the template's list. */
  readonly position: number;
}

const VERSION = 1;
const ID_BYTES = 16;
const HEAD_BYTES = 1 + ID_BYTES + 4;
const MAC_BYTES = 24;
const MAX_TOKEN_LENGTH = 4_096;

export function hookToken(key: string, { executionId, scope, position }: HookAddress): string {
  const head = Buffer.alloc(HEAD_BYTES);
  head[0] = VERSION;
  head.write(executionId.replaceAll('-', ''), 1, 'hex');
  head.writeUInt32BE(position, 1 + ID_BYTES);
  const named = Buffer.concat([head, Buffer.from(scope)]);
  return Buffer.concat([named, macOf(key, named)]).toString('base64url');
}

/** Returns the step of a token; null: no engine of this database made it. */
export function readHookToken(key: string, token: string): HookAddress | null {
  if (token.length > MAX_TOKEN_LENGTH) return null;
  const bytes = Buffer.from(token, 'base64url');
  // The decoder ignores what it does not know, and single bits at the end.
  if (bytes.toString('base64url') !== token) return null;
  if (bytes.length < HEAD_BYTES + MAC_BYTES || bytes[0] !== VERSION) return null;
  const named = bytes.subarray(0, -MAC_BYTES);
  if (!timingSafeEqual(bytes.subarray(-MAC_BYTES), macOf(key, named))) return null;
  const id = named.toString('hex', 1, 1 + ID_BYTES);
  return {
    executionId: id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
    scope: named.toString('utf8', HEAD_BYTES),
    position: named.readUInt32BE(1 + ID_BYTES),
  };
}

function macOf(key: string, named: Buffer): Buffer {
  return createHmac('sha256', key).update('hook').update(named).digest().subarray(0, MAC_BYTES);
}
