/**
 * The inputs of an execution from the command line.
 *
 * One `--input` is `key=value`, `key=@file`, a JSON object or array, or `@file`; several are merged in order. Text is
 * never changed on its way: a value becomes another type only when its printed form has the same characters.
 *
 * | value | is |
 * |---|---|
 * | `true`, `false`, `null` | that constant |
 * | a number that is printed with the same characters | that number; `1.10`, `7e5` and `007` are text |
 * | an object, an array or a quoted text that is JSON | that value |
 * | `@file`, `@-` | the text of a file or of standard input; read when the name ends in .json, .yaml or .yml |
 * | everything else | text |
 */
import { isObject, type Json, type JsonObject } from '../core/json/json.ts';
import { parseJson } from '../core/json/parse-json.ts';
import { EngineError } from '../core/problem.ts';
import { parseDocument } from '../definition/document.ts';
import { UsageError } from './failure.ts';
import type { TextSource } from './text-source.ts';

/** An engine may take less, and refuses larger inputs itself. */
const LIMITS = { maxDepth: 5_000, maxBytes: Number.POSITIVE_INFINITY };
const CONSTANTS: ReadonlyMap<string, Json> = new Map<string, Json>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

/** The inputs, undefined when there are none. Throws UsageError. */
export async function parseInputs(options: readonly string[], source: TextSource): Promise<Json | undefined> {
  const parts: Json[] = [];
  for (const option of options) parts.push(await parseInput(option, source));
  if (parts.length < 2) return parts[0];
  return Object.fromEntries(parts.flatMap(membersOf));
}

function membersOf(part: Json): [string, Json][] {
  if (!isObject(part))
    throw new UsageError('several --input are merged, so each must be an object or key=value');
  return Object.entries(part as JsonObject);
}

async function parseInput(option: string, source: TextSource): Promise<Json> {
  if (option.startsWith('@')) return readWhole(option.slice(1), source);
  if (/^\s*[[{]/.test(option)) return understood('--input', () => parseJson(option, LIMITS));
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(option) ?? [];
  if (key === undefined || value === undefined) {
    throw new UsageError(`--input ${JSON.stringify(option)} is neither key=value, nor JSON, nor @file`);
  }
  return { [key]: value.startsWith('@') ? await readMember(value.slice(1), source) : parseValue(key, value) };
}

/** The whole inputs: JSON unless the file's name is one of YAML. A plain text makes no sense as inputs. */
async function readWhole(path: string, source: TextSource): Promise<Json> {
  const text = await source.read(path);
  return readAs(formatOf(path) ?? 'json', path, text);
}

async function readMember(path: string, source: TextSource): Promise<Json> {
  const text = await source.read(path);
  const format = formatOf(path);
  return format === null ? text : readAs(format, path, text);
}

function formatOf(path: string): 'json' | 'yaml' | null {
  if (/\.json$/i.test(path)) return 'json';
  return /\.ya?ml$/i.test(path) ? 'yaml' : null;
}

function readAs(format: 'json' | 'yaml', path: string, text: string): Json {
  const name = path === '-' ? 'standard input' : path;
  return understood(name, () => parseDocument(text, format, LIMITS));
}

function parseValue(key: string, text: string): Json {
  const constant = CONSTANTS.get(text);
  if (constant !== undefined) return constant;
  if (JSON.stringify(Number(text)) === text) return Number(text);
  if (!/^["[{]/.test(text) || !isJson(text)) return text;
  return understood(`--input ${key}`, () => parseJson(text, LIMITS));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Throws UsageError, with the name of the source, for text that cannot be read or kept. */
function understood(name: string, parse: () => unknown): Json {
  try {
    return parse() as Json;
  } catch (error) {
    if (error instanceof EngineError) throw new UsageError(`${name}: ${error.message}`);
    throw error;
  }
}
