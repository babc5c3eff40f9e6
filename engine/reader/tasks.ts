/**
 * The work of a reader process for each request: pure, without a time limit.
 */
import { StartShape, startManyShape } from '../../api/execution/bodies.ts';
import { check } from '../../api/request-check.ts';
import type { JsonSchema } from '../../core/json/json.ts';
import { parseJson } from '../../core/json/parse-json.ts';
import { decodeUtf8 } from '../../core/json/utf8.ts';
import { judgeStored } from '../../definition/definition.ts';
import type { LintContext } from '../../definition/lint/context.ts';
import { createValidator, type Validator } from '../../definition/schema/json-schema.ts';
import type { StartItem } from '../../services/execution-answers.ts';
import { readNow } from '../../template/definition-reader.ts';
import type { ReaderAnswers, ReaderRequest, ReaderSetup } from './wire.ts';

export interface Answer {
  readonly answer: ReaderAnswers[keyof ReaderAnswers];
  readonly body: string;
}

/** Cached schemas; a process that uses too much memory is replaced. */
const MAX_KEPT_SCHEMAS = 50;

export class ReaderTasks {
  readonly #setup: ReaderSetup;
  readonly #lint: LintContext;
  /** Validators by the names of their schemas, the least recently used first. */
  readonly #validators = new Map<string, Validator>();

  constructor(setup: ReaderSetup, lint: LintContext) {
    this.#setup = setup;
    this.#lint = lint;
  }

  /** @throws EngineError */
  run(request: ReaderRequest, body: Buffer): Answer {
    switch (request.kind) {
      case 'definition':
        return this.#readDefinition(request.format, body);
      case 'stored':
        return { answer: judgeStored(JSON.parse(body.toString()), this.#lint), body: '' };
      case 'start':
        return startsOf([check(StartShape, this.#parse(body), 'body')]);
      case 'start-many':
        return startsOf(check(startManyShape(this.#setup.maxStarts), this.#parse(body), 'body').items);
      case 'inputs':
        return this.#checkInputs(request.schema, body, request.schemaBytes);
    }
  }

  #readDefinition(format: 'json' | 'yaml', bytes: Buffer): Answer {
    const { maxDepth, maxDefinitionBytes: maxBytes } = this.#setup;
    const { definition, errors, warnings } = readNow({ bytes, format }, this.#lint, { maxDepth, maxBytes });
    if (definition === null) return { answer: { definition, errors, warnings }, body: '' };
    const { text, ...rest } = definition;
    return { answer: { definition: rest, errors, warnings }, body: text };
  }

  #parse(bytes: Buffer): unknown {
    return parseJson(decodeUtf8(bytes, 'malformed_json'), this.#setup);
  }

  #checkInputs(name: string, body: Buffer, schemaBytes: number): Answer {
    const validator = this.#validatorOf(name, body.toString('utf8', 0, schemaBytes));
    if (validator === null) return { answer: { faults: null }, body: '' };
    const faults = validator(JSON.parse(body.toString('utf8', schemaBytes)));
    return { answer: { faults: faults.map(({ pointer, message }) => ({ pointer, message })) }, body: '' };
  }

  /** @param schema its text; empty: it was sent before */
  #validatorOf(name: string, schema: string): Validator | null {
    const known = this.#validators.get(name);
    if (known === undefined && schema === '') return null;
    const validator = known ?? createValidator(JSON.parse(schema) as JsonSchema);
    this.#validators.delete(name);
    this.#validators.set(name, validator);
    if (this.#validators.size > MAX_KEPT_SCHEMAS)
      this.#validators.delete(this.#validators.keys().next().value!);
    return validator;
  }
}

/** The inputs are sent as text, which the engine stores unchanged without parsing it. */
function startsOf(items: readonly StartItem[]): Answer {
  const texts = items.map(({ inputs }) => JSON.stringify(inputs ?? {}));
  return {
    answer: {
      items: items.map(({ inputs: _, ...item }) => item),
      lengths: texts.map(({ length }) => length),
    },
    body: texts.join(''),
  };
}
