/**
 * The options of every command: the engine, the key, the patience, and the form of results.
 */
import { visibleText } from '../core/text/visible.ts';
import { type Connection, connect } from './connection.ts';
import { hideKey, writeLine } from './output.ts';

export interface CommonOptions {
  url: string;
  token?: string | undefined;
  patience: number;
  output: 'json' | 'table';
}

/** Throws UsageError when the address is not valid. */
export function connectionOf(options: CommonOptions, timeoutMs?: number): Connection {
  if (options.token !== undefined) hideKey(options.token);
  return connect(options, (text) => writeLine(visibleText(text)), timeoutMs);
}
