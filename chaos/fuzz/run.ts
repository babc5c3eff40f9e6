/**
 * Sends the documents, some at a time, and records the answer of the engine to each.
 */

import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LOADS, type Load, playLoad } from './loads.ts';
import type { FuzzOptions } from './options.ts';
import { type HostileRequest, hostileRequest } from './requests.ts';
import type { Block, Caller, FuzzStage } from './stage.ts';
import { TEMPLATES, WIDE } from './templates.ts';

/** The result of a document. */
export interface Sent {
  readonly number: number;
  readonly door: string;
  readonly bytes: number;
  /** A status of HTTP, the code of an SQL error, or an exit code. */
  readonly answer: string;
  readonly isFailure: boolean;
  /** Date.now(). */
  readonly sentAt: number;
  readonly answeredAt: number;
}

export interface Played {
  readonly sent: readonly Sent[];
  readonly maxEngineBytes: number;
  readonly maxChildrenBytes: number;
}

const CLI = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const NAMES = TEMPLATES.map(({ name }) => name).filter((name) => name !== WIDE);
const MEMORY_EVERY_MS = 100;
/** The interval between starts whose execution is read afterwards. */
const STATUS_EVERY = 5;
/** A refusal that asks to try again, which is not a failure. */
const BUSY: ReadonlySet<number> = new Set([503]);

export async function playFuzz(
  options: FuzzOptions,
  stage: FuzzStage,
  tell: (line: string) => void,
): Promise<Played> {
  const { documents, from, inFlight, seed, atMost, loads } = options;
  const until = performance.now() + atMost * 1_000;
  const sent: Sent[] = [];
  const memory = watchMemory(stage);
  let next = from;
  const send = async () => {
    while (next < from + documents && performance.now() < until && stage.isAlive()) {
      const request = hostileRequest(seed, next++, NAMES);
      sent.push(await play(request, stage));
      if (sent.length % 1_000 === 0) tell(progressOf(sent, await stage.blocks()));
    }
  };
  await Promise.all(Array.from({ length: inFlight }, send));
  for (const load of LOADS) {
    if (loads.length > 0 && !loads.includes(load.name)) continue;
    if (performance.now() >= until || !stage.isAlive()) break;
    sent.push(await playAlone(load, stage));
    tell(`load ${load.name} played`);
  }
  return { sent, ...memory.end() };
}

function progressOf(sent: readonly Sent[], blocks: readonly Block[]): string {
  const longest = Math.round(Math.max(0, ...blocks.map(({ ms }) => ms)));
  const failures = sent.filter(({ isFailure }) => isFailure).length;
  return `${sent.length} documents sent; longest block ${longest} ms, failures ${failures}`;
}

function callerOf(number: number, { callers }: FuzzStage): Caller {
  return callers[number % callers.length]!;
}

function watchMemory(stage: FuzzStage) {
  let maxEngineBytes = 0;
  let maxChildrenBytes = 0;
  const timer = setInterval(() => {
    const { engine, children } = stage.memory();
    maxEngineBytes = Math.max(maxEngineBytes, engine);
    maxChildrenBytes = Math.max(maxChildrenBytes, children);
  }, MEMORY_EVERY_MS);
  return {
    end: () => {
      clearInterval(timer);
      return { maxEngineBytes, maxChildrenBytes };
    },
  };
}

async function play(request: HostileRequest, stage: FuzzStage): Promise<Sent> {
  const { number, door, body } = request;
  const sentAt = Date.now();
  const { answer, isFailure } = await answerOf(request, stage);
  return { number, door, bytes: body.byteLength, answer, isFailure, sentAt, answeredAt: Date.now() };
}

/** A load has the engine to itself. */
async function playAlone(load: Load, stage: FuzzStage): Promise<Sent> {
  const sentAt = Date.now();
  const answer = await playLoad(load, stage).catch(String);
  const isFailure = answer !== 'completed' && answer !== 'failed';
  return {
    number: -1,
    door: `load ${load.name}`,
    bytes: 0,
    answer,
    isFailure,
    sentAt,
    answeredAt: Date.now(),
  };
}

type Answer = Pick<Sent, 'answer' | 'isFailure'>;

async function answerOf(request: HostileRequest, stage: FuzzStage): Promise<Answer> {
  try {
    if (request.door === 'sql') return await startBySql(request, stage);
    if (request.door === 'cli') return await validateByCli(request, stage);
    return await call(request, stage);
  } catch (error) {
    return { answer: String(error).slice(0, 200), isFailure: true };
  }
}

async function call({ number, path, mediaType, body }: HostileRequest, stage: FuzzStage): Promise<Answer> {
  const { url } = stage;
  const { key } = callerOf(number, stage);
  const headers = { 'content-type': mediaType, authorization: `Bearer ${key}` };
  const response = await fetch(url + path, { method: 'POST', headers, body });
  const text = await response.text();
  const { status } = response;
  const isFailure = (status >= 500 && !BUSY.has(status)) || status === 404;
  if (status === 202 && number % STATUS_EVERY === 0) await look(url, key, JSON.parse(text).execution_id);
  return { answer: String(status), isFailure: isFailure && !text.includes('not_found') };
}

/** Reads the status with all outputs, and a page of the list. */
async function look(url: string, key: string, executionId: string | undefined): Promise<void> {
  if (executionId === undefined) return;
  const headers = { authorization: `Bearer ${key}` };
  const status = await fetch(`${url}/api/v1/execution/status?execution_id=${executionId}&include=outputs`, {
    headers,
  });
  await status.text();
  const list = await fetch(`${url}/api/v1/templates?limit=100`, { headers });
  await list.text();
  if (status.status >= 500 || !list.ok) throw new Error(`status ${status.status}, list ${list.status}`);
}

/** Values that the database refuses do not count: the engine never sees them. */
async function startBySql({ number, body }: HostileRequest, stage: FuzzStage): Promise<Answer> {
  const options = JSON.stringify({ workspace_id: callerOf(number, stage).workspaceId });
  const template = NAMES[number % NAMES.length];
  try {
    const values = [template, Buffer.from(body).toString(), options];
    await stage.sql.query('select workflow_start($1, $2::jsonb, $3::jsonb)', values);
    return { answer: 'started', isFailure: false };
  } catch (error) {
    return { answer: (error as { code?: string }).code ?? String(error), isFailure: false };
  }
}

/** Exit codes above 2 and signals are failures; other ends have a message. */
async function validateByCli({ number, mediaType, body }: HostileRequest, stage: FuzzStage): Promise<Answer> {
  const file = join(stage.folder, `${number}.${mediaType.endsWith('json') ? 'json' : 'yaml'}`);
  await writeFile(file, body);
  const online = ['--online', '--url', stage.url, '--token', callerOf(number, stage).key];
  const child = spawn(process.execPath, [CLI, 'validate', file, ...(number % 2 === 0 ? online : [])], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr.on('data', (chunk) => {
    text += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const isFailure = code === null || /\n\s+at .+:\d+/.test(text);
  return { answer: `exit ${code}`, isFailure };
}
