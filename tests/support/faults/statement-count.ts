/**
 * Counts the statements that PostgreSQL answers, on every connection that is made through a proxy.
 *
 * Counted is what the server says at the end of each statement (protocol messages CommandComplete,
 * EmptyQueryResponse and ErrorResponse): exact, whoever sent it and however it was sent.
 */
import { proxyTo } from './proxy.ts';

export interface StatementCount {
  /** The URL to connect to. */
  readonly url: string;
  /** Statements so far, by what they did: `SELECT`, `BEGIN` … */
  byVerb(): Record<string, number>;
  close(): Promise<void>;
}

const COMMAND_COMPLETE = 'C'.charCodeAt(0);
const EMPTY_QUERY = 'I'.charCodeAt(0);
const ERROR = 'E'.charCodeAt(0);
/** A message is its type, its length (of itself and what follows), and its content. */
const HEAD_BYTES = 5;

/** @param target URL of the database; without TLS */
export async function countStatements(target: string): Promise<StatementCount> {
  const verbs = new Map<string, number>();
  const count = (verb: string) => verbs.set(verb, (verbs.get(verb) ?? 0) + 1);
  const proxy = await proxyTo(target, (upstream) => upstream.on('data', messageReader(count)));
  return {
    url: proxy.url,
    byVerb: () => Object.fromEntries(verbs),
    close: () => proxy.close(),
  };
}

/** Messages may be cut anywhere by the network. */
function messageReader(onStatement: (verb: string) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= HEAD_BYTES) {
      const end = at + 1 + rest.readUInt32BE(at + 1);
      if (end > rest.length) break;
      const type = rest[at];
      if (type === COMMAND_COMPLETE) onStatement(verbOf(rest.toString('latin1', at + HEAD_BYTES, end - 1)));
      if (type === EMPTY_QUERY) onStatement('empty');
      if (type === ERROR) onStatement('error');
      at = end;
    }
    rest = rest.subarray(at);
  };
}

/** The tag without its number of rows. */
function verbOf(tag: string): string {
  return /^[A-Z ]+/.exec(tag)?.[0].trim() ?? tag;
}
