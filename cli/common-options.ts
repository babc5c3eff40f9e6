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

export const DEFAULT_URL = 'http://localhost:3020';

/** Throws UsageError when the address is not valid. */
export function connectionOf(options: CommonOptions, timeoutMs?: number): Connection {
  if (options.token !== undefined) hideKey(options.token);
  return connect(options, (text) => writeLine(visibleText(text)), timeoutMs);
}

/** Returns another command as a line for a shell, for the same engine. The key is not part of it. */
export function pasteable(command: readonly string[], { url }: CommonOptions): string {
  const usual = process.env.EXECUTION_ENGINE_URL || DEFAULT_URL;
  const words = ['npm', 'run', 'cli', '--', ...command, ...(url === usual ? [] : ['--url', url])];
  return visibleText(words.map(quoted).join(' '));
}

function quoted(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
