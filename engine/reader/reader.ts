/**
 * Reads and checks callers' data without blocking the event loop: light work is done at once, everything else
 * in separate processes, with a bound on time and memory.
 *
 * Definitions published before such a bound keep running: a stored definition that cannot be judged in time is
 * accepted as it was published.
 */
import { fileURLToPath } from 'node:url';
import type { JsonSchema } from '../../core/json/json.ts';
import { EngineError, type Problem } from '../../core/problem.ts';
import type { StoredTemplate } from '../../core/template.ts';
import { judgeStored } from '../../definition/definition.ts';
import type { DocumentLimits } from '../../definition/document.ts';
import type { Judgement } from '../../definition/judgement.ts';
import type { LintContext } from '../../definition/lint/context.ts';
import type { SchemaFault } from '../../definition/schema/checker.ts';
import type { DefinitionSource } from '../../definition/source.ts';
import { JsonPayload } from '../../payload/json-payload.ts';
import type { Frame } from '../../process/frame.ts';
import { TaskFailed, TaskPool } from '../../process/task-pool.ts';
import type { StartItem } from '../../services/execution-answers.ts';
import { isLightDocument, MAX_LIGHT_SOURCE, tryRead } from '../../template/definition-reader.ts';
import {
  type AnswerChecker,
  answerSchema,
  type InputChecker,
  type InputText,
  tryCheck,
} from '../../template/input-checker.ts';
import type { DefinitionReader, Reading } from '../../template/reading.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { FromReader, ReaderAnswers, ReaderRequest, ReaderSetup, StartsAnswer } from './wire.ts';

const ENTRY = fileURLToPath(new URL('./child.ts', import.meta.url));
const PROCESSES = 2;
const MAX_MEMORY_BYTES = 640 * 1024 * 1024;
const MAX_WAITING = 1_000;
/** Limit for the processor time of requests with a waiting caller. */
const MAX_MS = 10_000;
/** The same for definitions that are already published. */
const MAX_STORED_MS = 60_000;

/** A schema of a template, under a name by which a process keeps it. */
interface NamedSchema {
  readonly name: string;
  readonly schema: JsonSchema | null;
  readonly version: TemplateVersion;
}

export class Reader implements DefinitionReader, InputChecker, AnswerChecker {
  readonly #lint: LintContext;
  readonly #limits: DocumentLimits;
  readonly #pool: TaskPool;

  constructor(lint: LintContext, setup: ReaderSetup, onOutput: (text: string) => void) {
    this.#lint = lint;
    this.#limits = { maxDepth: setup.maxDepth, maxBytes: setup.maxDefinitionBytes };
    this.#pool = new TaskPool({
      command: process.execPath,
      args: [ENTRY],
      size: PROCESSES,
      setup,
      maxMemoryBytes: MAX_MEMORY_BYTES,
      maxAnswerBytes: 2 ** 30,
      maxWaiting: MAX_WAITING,
      onOutput,
    });
  }

  async read(owner: string, source: DefinitionSource): Promise<Reading> {
    const light = tryRead(source, this.#lint, this.#limits);
    if (light !== null) return light;
    try {
      const request = { kind: 'definition', format: source.format } as const;
      const { answer, frame } = await this.#ask(owner, request, source.bytes, MAX_MS);
      const { definition, ...found } = answer;
      return { ...found, definition: definition === null ? null : { ...definition, text: frame.body } };
    } catch (error) {
      return { definition: null, errors: [tooMuch('The definition', error)], warnings: [] };
    }
  }

  /** Returns the faults of a published definition in this engine. */
  async judge(stored: StoredTemplate): Promise<Judgement> {
    const { definition, source, workspaceId } = stored;
    if (source.length <= MAX_LIGHT_SOURCE && isLightDocument(definition))
      return judgeStored(definition, this.#lint);
    try {
      return (await this.#ask(ownerOf(workspaceId), { kind: 'stored' }, source, MAX_STORED_MS)).answer;
    } catch (error) {
      if (!(error instanceof TaskFailed) || error.reason === 'closed') throw refusalOf(error);
      const trusting = { ...this.#lint, schemas: { ...this.#lint.schemas, checkStored: () => [] } };
      return judgeStored(definition, trusting);
    }
  }

  check(
    version: TemplateVersion,
    inputs: InputText,
  ): readonly SchemaFault[] | Promise<readonly SchemaFault[]> {
    return this.#check({ name: version.id, schema: version.template.input, version }, inputs);
  }

  checkAnswer(
    version: TemplateVersion,
    position: number,
    answer: InputText,
  ): readonly SchemaFault[] | Promise<readonly SchemaFault[]> {
    const schema = answerSchema(version, position);
    return this.#check({ name: `${version.id}/${position}`, schema, version }, answer);
  }

  #check(schema: NamedSchema, value: InputText): readonly SchemaFault[] | Promise<readonly SchemaFault[]> {
    return tryCheck(this.#lint.schemas, schema.schema, value) ?? this.#checkElsewhere(schema, value);
  }

  async #checkElsewhere(schema: NamedSchema, { json }: InputText): Promise<readonly SchemaFault[]> {
    try {
      const text = JSON.stringify(schema.schema);
      return (await this.#faults(schema, '', json)) ?? (await this.#faults(schema, text, json))!;
    } catch (error) {
      return [tooMuch('The value', error)];
    }
  }

  /** Returns null when the process does not know the schema. @throws TaskFailed */
  async #faults({ name, version }: NamedSchema, schema: string, json: string) {
    const body = Buffer.from(schema + json);
    const schemaBytes = Buffer.byteLength(schema);
    const request = { kind: 'inputs', schema: name, schemaBytes } as const;
    return (await this.#ask(ownerOf(version.workspaceId), request, body, MAX_STORED_MS)).answer.faults;
  }

  /** Returns the checked items of a `start-many` body, or the one item of a `start` body. @throws EngineError */
  async starts(kind: 'start' | 'start-many', owner: string, bytes: Uint8Array): Promise<StartItem[]> {
    try {
      const { answer, frame } = await this.#ask(owner, { kind }, bytes, MAX_MS);
      return withInputs(answer, frame.body);
    } catch (error) {
      const problem = tooMuch('The body', error);
      throw new EngineError('validation_failed', problem.message, [problem]);
    }
  }

  processIds(): number[] {
    return this.#pool.processIds();
  }

  close(): void {
    this.#pool.close();
  }

  /** @throws TaskFailed, EngineError */
  async #ask<K extends ReaderRequest['kind']>(
    owner: string,
    request: ReaderRequest & { readonly kind: K },
    body: string | Uint8Array,
    maxMs: number,
  ): Promise<{ answer: ReaderAnswers[K]; frame: Frame<FromReader> }> {
    const frame = await this.#pool.run<FromReader>({ header: request, body, owner, maxMs });
    const { header } = frame;
    if (header.kind !== 'done') throw new TaskFailed('died', 'the process said something else');
    if (header.refusal !== null) {
      const { code, message, problems } = header.refusal;
      throw new EngineError(code, message, problems);
    }
    return { answer: header.answer as ReaderAnswers[K], frame };
  }
}

/** Returns the owner of a task: workspaces take turns. */
export function ownerOf(workspaceId: string | null): string {
  return workspaceId ?? '';
}

function withInputs({ items, lengths }: StartsAnswer, texts: string): StartItem[] {
  let at = 0;
  return items.map((item, index) => {
    const end = at + lengths[index]!;
    const inputs = new JsonPayload(texts.slice(at, end));
    at = end;
    return { ...item, inputs };
  });
}

/** Returns the problem of a document that used up its time or memory. @throws EngineError for any other reason */
function tooMuch(what: string, error: unknown): Problem {
  const reason = error instanceof TaskFailed ? error.reason : null;
  if (reason !== 'time' && reason !== 'memory' && reason !== 'died') throw refusalOf(error);
  const message = `${what} takes too much work to check: ${(error as TaskFailed).message}; make it smaller or simpler.`;
  return { pointer: '', code: 'too_much_work', message };
}

function refusalOf(error: unknown): unknown {
  if (!(error instanceof TaskFailed)) return error;
  const message = `Nothing was done: ${error.message}. Try again later.`;
  return new EngineError(error.reason === 'busy' ? 'too_many_requests' : 'unavailable', message, [], error);
}
