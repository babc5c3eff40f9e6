/**
 * `agent`: asks a language model, and gives its text, or an object that fits a schema.
 *
 * Not here: the course of a conversation (conversation.ts), a single question (chat.ts).
 *
 * 1. The engine's key goes to the engine's URL alone. A step with a URL of its own sends its own key, or none.
 * 2. Each turn is stored before the next one begins.
 * 3. The engine's URL may be private, because the operator gave it; that of a step is bound by the rule for all calls.
 */
import { isObject, type Json, type JsonObject, type JsonSchema } from '../../core/json/json.ts';
import type { KnownParams, ParamFault } from '../../core/step-type.ts';
import { childProperties, faultsOfChoice } from '../child-params.ts';
import type { HttpClient } from '../http/client.ts';
import { checkWrittenUrl } from '../http/review.ts';
import { faultsOf } from '../measure.ts';
import { type Holding, type StepContext, StepFailure, type StepType } from '../step-type.ts';
import { type AnswerSchemas, argumentFaults, MAX_SCHEMA_LENGTH, objectOf } from './answer.ts';
import type { Ask, Endpoint, Turn } from './chat.ts';
import { begin, type Conversation, type Message, nextOf, type Rules, withAnswer } from './conversation.ts';
import { invalidAnswer } from './invalid-answer.ts';
import type { AgentSettings } from './settings.ts';
import { resumedConversation, toolScopes } from './tools.ts';

export interface AgentParts {
  readonly settings: AgentSettings;
  /** For URLs of steps. */
  readonly client: HttpClient;
  /** For the engine's URL. */
  readonly ownClient: HttpClient;
  readonly ask: Ask;
  schemas(): AnswerSchemas | Promise<AnswerSchemas>;
}

type ToolParams = { name: string; description?: string; parameters?: JsonSchema };

type AgentParams = {
  model: string;
  prompt?: string;
  messages?: Message[];
  system?: string;
  schema?: JsonSchema;
  tools?: ToolParams[];
  url?: string;
  key?: string;
  maxTurns?: number;
  maxTokens?: number;
  temperature?: number;
  options?: JsonObject;
};

const URL_SETTING = 'EXECUTION_ENGINE_LLM_URL';
const DEFAULT_TURNS = 10;
const MAX_TOOLS = 128;
const NO_PARAMETERS = { type: 'object', properties: {} };
/** Members of a question that the step decides. */
const OWN_MEMBERS = [
  'function_call',
  'functions',
  'messages',
  'model',
  'n',
  'response_format',
  'stream',
  'stream_options',
  'temperature',
  'tool_choice',
  'tools',
];
/** Names for the longest answer, the current one and the one that some servers know. */
const LENGTH_MEMBERS = ['max_completion_tokens', 'max_tokens'] as const;

const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['model'],
  properties: {
    model: { type: 'string', minLength: 1, description: 'Name of the model, as its server knows it.' },
    prompt: { type: 'string', minLength: 1, description: 'The question; or give `messages`.' },
    messages: {
      type: 'array',
      minItems: 1,
      description: 'A conversation so far, instead of `prompt`.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['role', 'content'],
        properties: {
          role: { enum: ['system', 'developer', 'user', 'assistant'] },
          content: {
            description: 'Text, or a list of parts such as { type: image_url, image_url: { url } }.',
            anyOf: [{ type: 'string' }, { type: 'array', minItems: 1, items: { type: 'object' } }],
          },
        },
      },
    },
    system: { type: 'string', minLength: 1, description: 'Instructions before the conversation.' },
    schema: {
      type: 'object',
      description:
        'JSON Schema 2020-12 of the answer, which is then the output. Expressions in it are not evaluated.',
    },
    tools: {
      type: 'array',
      maxItems: MAX_TOOLS,
      description: 'Steps that the model may run, each call as a scope of the step.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name'],
        properties: {
          name: { type: 'string', pattern: '^[a-zA-Z0-9_-]{1,64}$', examples: ['find_order'] },
          description: { type: 'string', description: 'What the tool does, for the model.' },
          parameters: {
            type: 'object',
            description: 'JSON Schema 2020-12 of the arguments. Expressions in it are not evaluated.',
          },
          steps: { type: 'object', description: 'The steps of a call. Their `input` is the arguments.' },
          output: { description: 'The result of a call. Default: the outputs of its last steps.' },
          ...childProperties('call', 'the arguments'),
        },
      },
    },
    url: {
      type: 'string',
      minLength: 1,
      description: `Base URL of the server, before /chat/completions; default: ${URL_SETTING}.`,
    },
    key: {
      type: 'string',
      minLength: 1,
      description: 'Key for `url`, sent as a bearer token; without it none is sent. Only with `url`.',
    },
    maxTurns: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000,
      default: DEFAULT_TURNS,
      description: 'Most answers of the model.',
    },
    maxTokens: {
      type: 'integer',
      minimum: 1,
      description: 'Most tokens of all turns together, questions included.',
    },
    temperature: { type: 'number', minimum: 0, maximum: 2 },
    options: {
      type: 'object',
      description: 'Further members of the request, such as top_p, seed, max_tokens or reasoning_effort.',
      propertyNames: { not: { enum: OWN_MEMBERS } },
    },
  },
};

export function createAgent(parts: AgentParts): StepType<AgentParams> {
  const { settings } = parts;
  return {
    type: 'agent',
    summary: 'Asks a language model.',
    readsInputs: () => false,
    schema,
    schemaIn: 'schema',
    schemasIn: ['/tools/*/parameters'],
    deferred: ['/schema', '/tools/*/parameters'],
    holds: [
      {
        steps: '/tools/*/steps',
        output: '/tools/*/output',
        names: [],
        ownInput: true,
        children: { inputs: '${{ input }}' },
      },
    ],
    missingSettings: ({ url }) => (settings.url === null && url === undefined ? [URL_SETTING] : []),
    review: reviewAgent,
    async run(context) {
      const { params, signal } = context;
      const endpoint = endpointOf(params, parts);
      const schemas = await parts.schemas();
      const rules = rulesOf(params, schemas);
      const end = await converse(context, rules, (question) => parts.ask(endpoint, question, signal));
      if (typeof end !== 'string' || params.schema === undefined) return end;
      return objectOf(end, { schema: params.schema, schemas });
    },
  };
}

function rulesOf({ maxTurns, maxTokens, tools = [] }: AgentParams, schemas: AnswerSchemas): Rules {
  return {
    maxTurns: maxTurns ?? DEFAULT_TURNS,
    maxTokens: maxTokens ?? null,
    tools: tools.map(({ name, parameters = true }) => ({
      name,
      faultsOf: (input) => argumentFaults(input, parameters, schemas),
    })),
  };
}

/** Returns the text of the answer, or the scopes of tools that are to run before the model is asked again. */
async function converse(
  { params, keepTurn, resumed, scopes }: StepContext<AgentParams>,
  rules: Rules,
  ask: (question: JsonObject) => Promise<Turn>,
): Promise<string | Holding> {
  const begun = begin(messagesOf(params));
  const goingOn = resumed === null ? begun : await resumedConversation(begun, resumed.state, scopes!);
  for (let conversation = goingOn; ; ) {
    const next = nextOf(conversation, rules);
    switch (next.kind) {
      case 'ask': {
        const { answer, record } = await ask(questionOf(params, next));
        conversation = withAnswer(conversation, answer, rules);
        await keepTurn(conversation.turns, record);
        break;
      }
      case 'run':
        return toolScopes(conversation, begun, next.calls, rules, {
          held: scopes!.held,
          isFirst: resumed === null,
        });
      case 'done':
        return next.text;
      case 'failed':
        throw failureOf(next.fault.code, next.fault.message, conversation);
    }
  }
}

function failureOf(code: string, message: string, { turns, tokens }: Conversation): StepFailure {
  const details = { turns, tokens };
  return code === 'invalid_answer'
    ? invalidAnswer(message, details)
    : new StepFailure(code, message, { details });
}

function endpointOf({ url, key }: AgentParams, { settings, client, ownClient }: AgentParts): Endpoint {
  if (url !== undefined) return { client, url, key: key ?? null };
  if (key !== undefined) throw invalidParams(KEY_WITHOUT_URL);
  if (settings.url === null)
    throw new StepFailure('not_configured', `${URL_SETTING} is not set, and the step has no url`);
  return { client: ownClient, url: settings.url, key: settings.key };
}

const KEY_WITHOUT_URL = 'key is the key for url: give url too, or leave key out';
const ONE_OF_TWO = 'give either prompt or messages';

function messagesOf({ prompt, messages, system }: AgentParams): Message[] {
  const isOne = (prompt === undefined) !== (messages === undefined);
  if (!isOne) throw invalidParams(ONE_OF_TWO);
  const first: Message[] = system === undefined ? [] : [{ role: 'system', content: system }];
  return [...first, ...(messages ?? [{ role: 'user' as const, content: prompt! }])];
}

function questionOf(
  { model, schema: answer, temperature, options = {}, tools = [] }: AgentParams,
  { messages, tokensLeft }: { messages: readonly Message[]; tokensLeft: number | null },
): JsonObject {
  const format = { type: 'json_schema', json_schema: { name: 'answer', schema: answer ?? true } };
  return {
    ...options,
    model,
    messages: messages as unknown as Json[],
    ...(temperature === undefined ? {} : { temperature }),
    ...(answer === undefined ? {} : { response_format: format }),
    ...(tools.length === 0 ? {} : { tools: tools.map(offered) }),
    ...(tokensLeft === null ? {} : longestAnswer(options, tokensLeft)),
  };
}

function offered({ name, description, parameters }: ToolParams): JsonObject {
  const about = description === undefined ? {} : { description };
  return { type: 'function', function: { name, ...about, parameters: parameters ?? NO_PARAMETERS } };
}

/** The answer may use what is left of the budget. An option for its length keeps its name, and its value if that is less. */
function longestAnswer(options: JsonObject, tokensLeft: number): JsonObject {
  const name = LENGTH_MEMBERS.find((member) => options[member] !== undefined) ?? LENGTH_MEMBERS[0];
  const given = options[name];
  return { [name]: typeof given === 'number' ? Math.min(given, tokensLeft) : tokensLeft };
}

function reviewAgent(known: KnownParams, written: JsonObject): ParamFault[] {
  const { url, key, prompt, messages, tools } = written;
  const choices = Array.isArray(tools)
    ? tools.flatMap((tool, at) => (isObject(tool) ? faultsOfChoice(tool as JsonObject, `/tools/${at}`) : []))
    : [];
  const others = faultsOf({
    url: () => url !== undefined && checkWrittenUrl(known.url, url),
    key: () => key !== undefined && url === undefined && refuse(KEY_WITHOUT_URL),
    prompt: () => prompt !== undefined && messages !== undefined && refuse(ONE_OF_TWO),
    messages: () => prompt === undefined && messages === undefined && refuse(ONE_OF_TWO),
    schema: () => checkSchemaSize('schema', written.schema),
    tools: () => checkTools(tools),
  });
  return [...choices, ...others];
}

function checkTools(tools: Json | undefined): void {
  // Steps that are not written out are refused as steps.
  if (!Array.isArray(tools)) return;
  const met = new Set<Json>();
  for (const { name, parameters } of tools.filter(isObject) as JsonObject[]) {
    if (met.has(name!)) refuse(`there are two tools with the name ${JSON.stringify(name)}`);
    met.add(name!);
    checkSchemaSize(`parameters of ${JSON.stringify(name)}`, parameters);
  }
}

function checkSchemaSize(what: string, given: Json | undefined): void {
  if (typeof given === 'string') refuse(`${what} is not evaluated: write it out`);
  if (given !== undefined && JSON.stringify(given).length > MAX_SCHEMA_LENGTH)
    refuse(`${what} has more than ${MAX_SCHEMA_LENGTH} characters; make it smaller`);
}

function refuse(message: string): never {
  throw invalidParams(message);
}

function invalidParams(message: string): StepFailure {
  return new StepFailure('invalid_params', message);
}
