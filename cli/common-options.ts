/**
 * What every command takes: which engine, with which key, how patiently, and how results are printed.
 */
import { type Connection, connect } from './connection.ts';
import { writeLine } from './output.ts';
import { clean } from './terminal.ts';

export interface CommonOptions {
  url: string;
  token?: string | undefined;
  patience: number;
  output: 'json' | 'table';
}

/** Throws UsageError when the address is none. */
export function connectionOf(options: CommonOptions, timeoutMs?: number): Connection {
  return connect(options, (text) => writeLine(clean(text)), timeoutMs);
}
