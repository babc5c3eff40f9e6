/**
 * The sandbox: JavaScript of definitions, in separate processes that can be killed.
 *
 * Expressions and scripts have separate lanes, so a long script never delays an expression. Processes are started when
 * first needed; an engine that evaluates everything natively has none.
 *
 * Every failure is an ExpressionError.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Json } from '../../core/json/json.ts';
import { isLightValue, writeJsonInPieces } from '../../core/json/write-in-pieces.ts';
import { inSlices } from '../../process/in-slices.ts';
import { ExpressionError } from '../expression-error.ts';
import type { Job } from './job.ts';
import { SandboxLane } from './lane.ts';
import type { LogLevel } from './wire.ts';

export interface SandboxOptions {
  /** Processes per lane, 1 or more, and up to twice as many while some are held up; default 2. */
  size?: number;
  /** Processor time of one evaluation, in milliseconds; default 1000. */
  timeoutMs?: number;
  /** Memory of one evaluation; default 64 MiB. */
  memoryBytes?: number;
  /** Most memory a script can ask for; default 256 MiB. */
  maxMemoryBytes?: number;
  /** Largest result as JSON in UTF-8; default 1 MiB. */
  outputBytes?: number;
}

export interface EvaluateCall {
  /** Whose it is: workspaces take turns, and so do the executions of each. Null: of none. */
  workspace?: string | null;
  execution?: string;
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface ScriptCall {
  /** As in EvaluateCall. */
  workspace?: string | null;
  execution?: string;
  timeoutMs: number;
  /** Clamped to what the sandbox has. */
  memoryBytes: number;
  signal?: AbortSignal;
  /** Largest result as JSON in UTF-8; default: the sandbox's. */
  outputBytes?: number;
  /** Gets each line of `console.log`, `info`, `warn`, `error` and `debug` as it is written; 1,000 at most. */
  onLog?: (line: string, level: LogLevel) => void;
}

export interface Sandbox {
  /**
   * Evaluates one JavaScript expression over the roots in `scope`. The result is the value as JSON keeps it (undefined
   * for undefined; numbers that are not finite stay).
   */
  evaluate(source: string, scope: object, call?: EvaluateCall): Promise<unknown>;
  /** Several expressions over one scope, given as JSON text, in one round trip; each gets its own copy of the scope. */
  evaluateAll(sources: readonly string[], scopeText: string, call?: EvaluateCall): Promise<unknown[]>;
  /** Runs the body of an async function of `input`. undefined is null; a number JSON cannot hold stays. */
  runScript(code: string, input: Json, call: ScriptCall): Promise<Json>;
  /** Starts the first process for expressions, so that the first evaluation need not wait for it. */
  warm(): void;
  /** Ids of the processes that are up or starting, for diagnosis. */
  processIds(): number[];
  /** Ends the processes; unanswered calls are rejected with `aborted`. */
  close(): void;
  /** Since the start: processes killed because a call was out of time or aborted, and calls made. */
  readonly counters: Readonly<{ kills: number; evaluations: number; scripts: number }>;
}

const MIB = 1024 * 1024;
const IN_FLIGHT = 16;

export function createSandbox(options: SandboxOptions = {}): Sandbox {
  const { size = 2, timeoutMs = 1000, memoryBytes = 64 * MIB, outputBytes = MIB } = options;
  const maxMemoryBytes = Math.max(options.maxMemoryBytes ?? 256 * MIB, memoryBytes);
  const counters = { kills: 0, evaluations: 0, scripts: 0 };
  const directory = mkdtempSync(join(tmpdir(), 'execution-engine-sandbox-'));
  const onKill = (): void => {
    counters.kills++;
  };
  const processors = availableParallelism();
  const shared = { size: Math.max(1, size), processors, directory, maxMemoryBytes, onKill };
  const expressions = new SandboxLane({ ...shared, maxInFlight: IN_FLIGHT });
  const scripts = new SandboxLane({ ...shared, maxInFlight: 1 });
  let lastId = 0;

  const evaluateAll: Sandbox['evaluateAll'] = (sources, scopeText, call = {}) => {
    counters.evaluations += sources.length;
    const request = {
      kind: 'evaluate',
      id: ++lastId,
      sources,
      timeoutMs: call.timeoutMs ?? timeoutMs,
      memoryBytes,
      outputBytes,
    } as const;
    return submit(expressions, { request, body: () => scopeText, onLog: null }, call);
  };
  return {
    evaluateAll,
    async evaluate(source, scope, call) {
      const [result] = await evaluateAll([source], JSON.stringify(scope), call);
      return result;
    },
    async runScript(code, input, call) {
      counters.scripts++;
      const request = {
        kind: 'script',
        id: ++lastId,
        code,
        timeoutMs: call.timeoutMs,
        memoryBytes: Math.min(call.memoryBytes, maxMemoryBytes),
        outputBytes: call.outputBytes ?? outputBytes,
      } as const;
      const large = isLightValue(input) ? null : await inSlices(writeJsonInPieces(input));
      const job = { request, body: () => large ?? JSON.stringify(input ?? null), onLog: call.onLog ?? null };
      const [result] = await submit(scripts, job, call);
      return (result ?? null) as Json;
    },
    warm: () => expressions.warm(),
    processIds: () => [...expressions.processIds(), ...scripts.processIds()],
    close() {
      expressions.close();
      scripts.close();
      rmSync(directory, { recursive: true, force: true });
    },
    counters,
  };
}

type Work = Pick<Job, 'request' | 'body' | 'onLog'>;

function submit(
  lane: SandboxLane,
  work: Work,
  { workspace = null, execution = '', signal }: EvaluateCall,
): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new ExpressionError('aborted', 'it was aborted before it began'));
    const onAbort = (): void => lane.abort(work.request.id);
    signal?.addEventListener('abort', onAbort, { once: true });
    const done = (settle: () => void): void => {
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    lane.submit({
      ...work,
      workspace: workspace ?? '',
      execution,
      resolve: (results) => done(() => resolve(results)),
      reject: (error) => done(() => reject(error)),
    });
  });
}
