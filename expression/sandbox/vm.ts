/**
 * Runs one expression or script at a time in QuickJS (WebAssembly). Lives in the sandbox process only.
 *
 * Every expression and every script gets its own runtime and context, so none can see the effects of another. Only
 * texts go in and out.
 *
 * The parent ends by SIGKILL any work that cannot be bounded here: some built-in functions of QuickJS run for seconds
 * without calling the interrupt handler.
 *
 * Invariant 1: once `broken` is true no code may run here again; the process ends.
 */
import variant from '@jitl/quickjs-ng-wasmfile-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSRuntime,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';
import { missingName, type StrictRoot } from '../missing-name.ts';
import { preludeFor } from './prelude.ts';
import type { EvaluateRequest, Failure, LogLevel, ScriptRequest } from './wire.ts';

export type Outcome = { body: string; special: boolean } | { failure: Failure };
type OnLog = (level: LogLevel, line: string) => void;

const PARENT = process.ppid;
const PAGE_BYTES = 65_536;
const INITIAL_PAGES = 256;
const STACK_BYTES = 256 * 1024;
/** QuickJS gives memory back to its heap, never to the system: a grown process is replaced. */
const TIRED_HEAP_BYTES = 64 * 1024 * 1024;
const TIRED_RUNS = 50_000;
const JOBS_PER_ROUND = 500;
const MAX_DEPTH = 512;
/** Lines of the async function's head that stand before the first line of a script. */
const SCRIPT_HEAD_LINES = 2;

/** Thrown for an outcome that ends a run; `failure` is the answer. */
class RunFailure extends Error {
  readonly failure: Failure;

  constructor(code: Failure['code'], message: string, more: Partial<Failure> = {}) {
    super(message);
    this.failure = { code, message, errorName: null, line: null, sourceIndex: null, ...more };
  }
}

/** Time is up when both the clock and the processor say so: a process that got no turn has used no time. */
class Deadline {
  readonly #startedAt = performance.now();
  readonly #cpuAtStart = process.cpuUsage();
  readonly #timeoutMs: number;
  passed = false;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  readonly check = (): boolean => {
    // The engine is gone: no process is left to answer, or to end this one.
    if (process.ppid !== PARENT) process.exit(0);
    if (this.passed) return true;
    if (performance.now() - this.#startedAt < this.#timeoutMs) return false;
    const { user, system } = process.cpuUsage(this.#cpuAtStart);
    this.passed = (user + system) / 1000 >= this.#timeoutMs;
    return this.passed;
  };
}

export class SandboxVm {
  broken = false;
  #runs = 0;
  readonly #module: QuickJSWASMModule;
  readonly #heap: WebAssembly.Memory;

  private constructor(module: QuickJSWASMModule, heap: WebAssembly.Memory) {
    this.#module = module;
    this.#heap = heap;
  }

  /** `maxBytes` is the most memory all of QuickJS may ever have. */
  static async create(maxBytes: number): Promise<SandboxVm> {
    const maximum = Math.max(INITIAL_PAGES, Math.ceil(maxBytes / PAGE_BYTES));
    const heap = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum });
    // The package's types describe its CommonJS form, where the variant would be one level deeper.
    const base = variant as unknown as QuickJSSyncVariant;
    const bounded = newVariant(base, { wasmMemory: heap });
    return new SandboxVm(await newQuickJSWASMModuleFromVariant(bounded), heap);
  }

  /** Returns whether the process should be replaced once its work is done. */
  get tired(): boolean {
    return this.broken || this.#runs >= TIRED_RUNS || this.#heap.buffer.byteLength > TIRED_HEAP_BYTES;
  }

  evaluate(request: EvaluateRequest, scopeText: string): Outcome {
    const deadline = new Deadline(request.timeoutMs);
    const results: string[] = [];
    let special = false;
    let left = request.outputBytes;
    for (const [sourceIndex, source] of request.sources.entries()) {
      const outcome = this.#run(request, source, deadline, (context, prelude) =>
        callText(context, prelude, 'evaluate', [JSON.stringify(source), scopeText]),
      );
      if ('failure' in outcome) return { failure: { ...outcome.failure, line: null, sourceIndex } };
      left -= outcome.body.length;
      if (left < 0) return { failure: tooLarge(request.outputBytes, sourceIndex) };
      special ||= outcome.special;
      results.push(outcome.body);
    }
    return { body: `[${results.join(',')}]`, special };
  }

  runScript(request: ScriptRequest, inputText: string, onLog: OnLog): Outcome {
    const deadline = new Deadline(request.timeoutMs);
    const outcome = this.#run(request, request.code, deadline, (context, prelude) => {
      const log = context.newFunction('log', (level, line) => {
        onLog(context.getString(level) as LogLevel, JSON.parse(context.getString(line)) as string);
      });
      const first = callText(context, prelude, 'start', [JSON.stringify(request.code), inputText], log);
      return first === '' ? awaitOutcome(context, prelude, deadline) : first;
    });
    if (!('failure' in outcome)) return { ...outcome, body: `[${outcome.body}]` };
    const { line } = outcome.failure;
    return {
      failure: { ...outcome.failure, line: line === null ? null : Math.max(1, line - SCRIPT_HEAD_LINES) },
    };
  }

  #run(
    request: EvaluateRequest | ScriptRequest,
    code: string,
    deadline: Deadline,
    work: (context: QuickJSContext, prelude: QuickJSHandle) => string,
  ): Outcome {
    this.#runs++;
    let runtime: QuickJSRuntime | null = null;
    let context: QuickJSContext | null = null;
    try {
      runtime = this.#module.newRuntime();
      runtime.setMemoryLimit(request.memoryBytes);
      runtime.setMaxStackSize(STACK_BYTES);
      runtime.setInterruptHandler(deadline.check);
      context = runtime.newContext();
      return readOutcome(withPrelude(context, preludeFor(code), work), request);
    } catch (error) {
      return { failure: this.#explain(error, request, deadline) };
    } finally {
      this.#dispose(context, runtime);
    }
  }

  #dispose(context: QuickJSContext | null, runtime: QuickJSRuntime | null): void {
    try {
      if (!this.broken) {
        context?.dispose();
        runtime?.dispose();
      }
    } catch {
      this.broken = true;
    }
  }

  #explain(error: unknown, request: EvaluateRequest | ScriptRequest, deadline: Deadline): Failure {
    const kind = request.kind === 'script' ? 'script' : 'expression';
    if (deadline.passed) {
      return new RunFailure(`${kind}_timeout`, `it took longer than ${request.timeoutMs} ms`).failure;
    }
    if (error instanceof RunFailure) return error.failure;
    // A trap inside WebAssembly, or the host's stack: QuickJS cannot be used any more.
    this.broken = true;
    const code = kind === 'script' ? 'script_out_of_memory' : 'expression_failed';
    return new RunFailure(code, 'it ran out of memory or stack').failure;
  }
}

/** Loads the sandbox's own code and gives its object to `work`; every handle is gone afterwards. */
function withPrelude(
  context: QuickJSContext,
  code: string,
  work: (context: QuickJSContext, prelude: QuickJSHandle) => string,
): string {
  const prelude = unwrap(context, context.evalCode(code, 'prelude'));
  try {
    return work(context, prelude);
  } finally {
    prelude.dispose();
  }
}

type CallResult = ReturnType<QuickJSContext['evalCode']>;

/** The value of a call; the only errors that pass the sandbox's own code are an interrupt and a lack of memory. */
function unwrap(context: QuickJSContext, result: CallResult): QuickJSHandle {
  if (result.error === undefined) return result.value;
  const message = context.getProp(result.error, 'message').consume((handle) => context.getString(handle));
  result.error.dispose();
  throw new RunFailure('expression_failed', message, { errorName: 'InternalError' });
}

function callText(
  context: QuickJSContext,
  prelude: QuickJSHandle,
  name: string,
  texts: readonly string[],
  ...more: QuickJSHandle[]
): string {
  const method = context.getProp(prelude, name);
  const args = [...texts.map((text) => context.newString(text)), ...more];
  try {
    const result = unwrap(context, context.callFunction(method, context.undefined, ...args));
    return result.consume((handle) => context.getString(handle));
  } finally {
    for (const handle of [method, ...args]) handle.dispose();
  }
}

function awaitOutcome(context: QuickJSContext, prelude: QuickJSHandle, deadline: Deadline): string {
  const { runtime } = context;
  while (runtime.hasPendingJob()) {
    const done = runtime.executePendingJobs(JOBS_PER_ROUND);
    if (done.error !== undefined) {
      done.error.dispose();
      throw new RunFailure('script_failed', 'the script was interrupted');
    }
    if (deadline.check()) throw new RunFailure('script_timeout', 'the script took too long');
    const outcome = callText(context, prelude, 'outcome', []);
    if (outcome !== '') return outcome;
  }
  throw new RunFailure('script_failed', 'the script waits for a promise that nothing settles');
}

interface Thrown {
  name: string | null;
  message: string;
  line: number | null;
  internal: boolean;
  /** The root, and the unknown name that was read of it. */
  missing: [StrictRoot, string] | null;
}

function readOutcome(text: string, request: EvaluateRequest | ScriptRequest): Outcome {
  if (text[0] === '!') return { failure: thrown(JSON.parse(text.slice(1)) as Thrown, request) };
  const special = text[0] === '*';
  const body = text.slice(special ? 2 : 1);
  if (Buffer.byteLength(body) > request.outputBytes) return { failure: tooLarge(request.outputBytes, null) };
  if (tooDeep(body)) {
    const message = `the result is nested more than ${MAX_DEPTH} levels deep`;
    return { failure: new RunFailure('output_not_storable', message).failure };
  }
  return { body, special };
}

function thrown({ name, message, line, internal, missing }: Thrown, { kind }: { kind: string }): Failure {
  if (missing !== null) {
    const { code, message: text } = missingName(...missing);
    return new RunFailure(code, text).failure;
  }
  const script = kind === 'script';
  if (internal && message === 'out of memory') {
    const code = script ? 'script_out_of_memory' : 'expression_failed';
    return new RunFailure(code, 'it used more memory than it may', { errorName: name, line }).failure;
  }
  const isMember = /^cannot read property .* of (null|undefined)$/.test(message);
  const hint = isMember ? '; write ?. where a value may be missing' : '';
  const text = `${name === null ? '' : `${name}: `}${message}${hint}`;
  return new RunFailure(script ? 'script_failed' : 'expression_failed', text, { errorName: name, line })
    .failure;
}

function tooLarge(outputBytes: number, sourceIndex: number | null): Failure {
  const message = `the result is larger than ${outputBytes} bytes`;
  return new RunFailure('output_not_storable', message, { sourceIndex }).failure;
}

/** Returns whether JSON text is nested deeper than a result may be; the array around every result is not counted. */
function tooDeep(json: string): boolean {
  let depth = -1;
  for (let position = 0; position < json.length; position++) {
    const character = json[position];
    if (character === '"') position = endOfText(json, position);
    else if (character === '[' || character === '{') {
      if (++depth > MAX_DEPTH) return true;
    } else if (character === ']' || character === '}') depth--;
  }
  return false;
}

function endOfText(json: string, start: number): number {
  let end = start + 1;
  while (json[end] !== '"') end += json[end] === '\\' ? 2 : 1;
  return end;
}
