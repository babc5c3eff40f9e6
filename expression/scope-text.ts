/**
 * Writes the parts of a scope that expressions read as the JSON text the sandbox gets.
 *
 * Only the parts that the reads name are visited and sent: a secret that no expression names never reaches the sandbox.
 * Arrays are sent whole. The event loop gets its turn between large parts, and inside of them.
 */

import { jsonOf } from '../process/json-of.ts';
import type { Read } from './analysis.ts';
import type { Scope } from './compiled.ts';
import { ExpressionError } from './expression-error.ts';

/** Most characters of JSON that one call may send. */
export const SCOPE_LIMIT = 16 * 1024 * 1024;
const PAUSE_AFTER = 1024 * 1024;

/** The parts to send: all of a value, or some of its members. */
type Needs = 'all' | Map<string, Needs>;

interface Writer {
  total: number;
  sincePause: number;
}

/** The JSON text of an object with the roots that are read; roots that are absent in the scope are absent in it. */
export async function scopeText(scope: Scope, reads: readonly Read[]): Promise<string> {
  const needs = new Map<string, Needs>();
  for (const read of reads) addNeed(needs, read);
  return (await write(scope, needs, { total: 0, sincePause: 0 })) ?? '{}';
}

function addNeed(needs: Map<string, Needs>, [key, ...rest]: readonly string[]): void {
  const known = needs.get(key!);
  if (known === 'all') return;
  if (rest.length === 0) {
    needs.set(key!, 'all');
    return;
  }
  const below = known ?? new Map<string, Needs>();
  needs.set(key!, below);
  addNeed(below, rest);
}

async function write(value: unknown, needs: Needs, writer: Writer): Promise<string | undefined> {
  if (needs === 'all' || typeof value !== 'object' || value === null || Array.isArray(value)) {
    return writeWhole(value, writer);
  }
  const members: string[] = [];
  for (const [key, below] of needs) {
    if (!Object.hasOwn(value, key)) continue;
    const text = await write((value as Record<string, unknown>)[key], below, writer);
    if (text !== undefined) members.push(`${JSON.stringify(key)}:${text}`);
  }
  return `{${members.join(',')}}`;
}

async function writeWhole(value: unknown, writer: Writer): Promise<string | undefined> {
  const text = await jsonOf(value);
  const length = text?.length ?? 0;
  writer.total += length;
  writer.sincePause += length;
  if (writer.total > SCOPE_LIMIT) {
    const message = `the expressions read more than ${SCOPE_LIMIT} characters of data; name the parts they need`;
    throw new ExpressionError('expression_failed', message);
  }
  if (writer.sincePause > PAUSE_AFTER) {
    writer.sincePause = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return text;
}
