/**
 * The inputs of an execution from the command line.
 *
 * One `--input` is `key=value`, `key=@file`, a JSON object or array, or `@file`; several are merged in order. A value
 * that is JSON is taken as JSON (`count=3` is a number), everything else is text.
 */
import { parse as parseYaml } from 'yaml';
import { isObject, type Json, type JsonObject } from '../core/json/json.ts';
import { readText } from './definition-file.ts';
import { UsageError } from './failure.ts';

/** The inputs, undefined when there are none. Throws UsageError. */
export async function parseInputs(options: readonly string[]): Promise<Json | undefined> {
  const parts = await Promise.all(options.map(parseInput));
  if (parts.length < 2) return parts[0];
  return Object.fromEntries(parts.flatMap(membersOf));
}

function membersOf(part: Json): [string, Json][] {
  if (!isObject(part))
    throw new UsageError('several --input are merged, so each must be an object or key=value');
  return Object.entries(part as JsonObject);
}

async function parseInput(option: string): Promise<Json> {
  if (option.startsWith('@')) return readValue(option.slice(1));
  if (/^\s*[[{]/.test(option)) return parseStrict(option);
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(option) ?? [];
  if (key === undefined || value === undefined) {
    throw new UsageError(`--input ${JSON.stringify(option)} is neither key=value, nor JSON, nor @file`);
  }
  return { [key]: value.startsWith('@') ? await readValue(value.slice(1)) : parseLoose(value) };
}

async function readValue(path: string): Promise<Json> {
  const text = await readText(path);
  try {
    return parseYaml(text) as Json;
  } catch (error) {
    throw new UsageError(`${path} is neither JSON nor YAML: ${(error as Error).message.split('\n')[0]}`);
  }
}

function parseStrict(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new UsageError(`--input looks like JSON and is not: ${(error as Error).message}`);
  }
}

function parseLoose(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
