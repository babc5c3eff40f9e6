/**
 * A conversation with a language model, as data: the next thing to do, and the meaning of an answer.
 *
 * It is pure, and a conversation is JSON, so that it can be kept while tools run.
 *
 * 1. Each answer of the model is a turn. There are at most `maxTurns` of them.
 * 2. Before the model is asked again, each call of its last answer has one result, in the order of the calls.
 * 3. A call that cannot be made (an unknown tool, arguments that do not fit) and a tool that failed are told to the model
 *    as the results of their calls.
 * 4. The tokens of all turns are counted. With a budget, the model is asked only while some of it is left.
 */
import type { Json, JsonObject } from '../../core/json/json.ts';

/** A message as the protocol has it. */
export type Message =
  | { readonly role: 'system' | 'developer' | 'user'; readonly content: Json }
  | { readonly role: 'assistant'; readonly content: Json; readonly tool_calls?: readonly SentCall[] }
  | { readonly role: 'tool'; readonly tool_call_id: string; readonly content: string };

interface SentCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** A tool that the model asks for. Its arguments are text, which the model has made up. */
export interface AskedCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

export interface Answer {
  /** Null: there is none beside the calls. */
  readonly text: string | null;
  readonly calls: readonly AskedCall[];
  /** Tokens of question and answer; null: the server does not say. */
  readonly tokens: number | null;
  /** Whether a limit of tokens ended the answer before the model did. */
  readonly isCut: boolean;
  /** Why it is no answer: the model or its server refuses; null: it is one. */
  readonly refused: string | null;
}

export interface Tool {
  readonly name: string;
  /** Returns the faults of arguments, as sentences for the model. */
  faultsOf(input: Json): readonly string[];
}

export interface Rules {
  readonly maxTurns: number;
  /** Null: no budget. */
  readonly maxTokens: number | null;
  readonly tools: readonly Tool[];
}

interface Call {
  readonly id: string;
  readonly name: string;
  readonly input: Json;
  /** Text for the model; null: the tool has not ended. */
  readonly result: string | null;
}

export interface Conversation {
  readonly messages: readonly Message[];
  readonly turns: number;
  /** Null: an answer did not say how many. */
  readonly tokens: number | null;
  /** Those of the last answer, until all of them have a result. */
  readonly calls: readonly Call[];
  /** Set by the answer that ends the conversation. */
  readonly end: { readonly text: string } | Fault | null;
}

export interface Fault {
  readonly code: 'max_turns' | 'token_budget' | 'invalid_answer';
  readonly message: string;
}

export type Next =
  /** Ask the model. `tokensLeft` is null without a budget. */
  | { readonly kind: 'ask'; readonly messages: readonly Message[]; readonly tokensLeft: number | null }
  /** Run these tools; others may be running already. */
  | { readonly kind: 'run'; readonly calls: readonly { id: string; name: string; input: Json }[] }
  | { readonly kind: 'done'; readonly text: string }
  | { readonly kind: 'failed'; readonly fault: Fault };

/** Calls of one answer that are made. */
export const MAX_CALLS = 100;
const TOO_MANY = { input: null, result: `Error: an answer may have ${MAX_CALLS} calls. Call again.` };

export function begin(messages: readonly Message[]): Conversation {
  return { messages, turns: 0, tokens: 0, calls: [], end: null };
}

export function nextOf({ messages, turns, tokens, calls, end }: Conversation, rules: Rules): Next {
  if (end !== null) return 'text' in end ? { kind: 'done', ...end } : { kind: 'failed', fault: end };
  // Tools whose results the model would never hear of are not run.
  const fault = limitFault(turns, tokens, rules);
  if (fault !== null) return { kind: 'failed', fault };
  const open = calls.filter(({ result }) => result === null);
  if (open.length > 0)
    return { kind: 'run', calls: open.map(({ id, name, input }) => ({ id, name, input })) };
  const { maxTokens } = rules;
  return { kind: 'ask', messages, tokensLeft: maxTokens === null ? null : maxTokens - tokens! };
}

/** Returns why the model may not be asked again. */
function limitFault(turns: number, tokens: number | null, { maxTurns, maxTokens }: Rules): Fault | null {
  if (turns >= maxTurns)
    return { code: 'max_turns', message: `no answer after ${maxTurns} turns (maxTurns)` };
  if (maxTokens === null) return null;
  if (tokens !== null) return tokens < maxTokens ? null : overBudget(tokens, maxTokens);
  const message = 'the server does not say how many tokens it used, so maxTokens ends it';
  return { code: 'token_budget', message };
}

/** Returns the conversation after an answer of the model. */
export function withAnswer(before: Conversation, answer: Answer, rules: Rules): Conversation {
  const tokens = before.tokens === null || answer.tokens === null ? null : before.tokens + answer.tokens;
  const after = { ...before, turns: before.turns + 1, tokens };
  if (answer.refused !== null) return { ...after, end: { code: 'invalid_answer', message: answer.refused } };
  // Its calls and its text may be cut in two.
  if (answer.isCut) return { ...after, end: cutFault(tokens, rules) };
  if (answer.calls.length > 0) {
    const calls = distinct(answer.calls).map((call, at) => ({
      ...call,
      ...(at < MAX_CALLS ? examined(call, rules) : TOO_MANY),
    }));
    const messages = [...before.messages, askedMessage(answer.text, calls)];
    return settled({
      ...after,
      messages,
      calls: calls.map(({ id, name, input, result }) => ({ id, name, input, result })),
    });
  }
  if (answer.text === null)
    return { ...after, end: { code: 'invalid_answer', message: 'the answer has neither text nor calls' } };
  return { ...after, end: { text: answer.text } };
}

/** Returns the conversation after a tool has ended, with its result or failure as text. */
export function withResult(before: Conversation, callId: string, result: string): Conversation {
  const calls = before.calls.map((call) =>
    call.id === callId && call.result === null ? { ...call, result } : call,
  );
  return settled({ ...before, calls });
}

/** The results of a turn go to the model together, in the order of its calls. */
function settled(conversation: Conversation): Conversation {
  const { calls, messages } = conversation;
  if (calls.some(({ result }) => result === null)) return conversation;
  const results = calls.map(
    ({ id, result }): Message => ({ role: 'tool', tool_call_id: id, content: result! }),
  );
  return { ...conversation, messages: [...messages, ...results], calls: [] };
}

/** Some servers give the calls of an answer the same id, or an empty one. */
function distinct(calls: readonly AskedCall[]): AskedCall[] {
  const met = new Set<string>();
  return calls.map((call, at) => {
    let { id } = call;
    for (let count = at; id === '' || met.has(id); count += 1) id = `call_${count}`;
    met.add(id);
    return { ...call, id };
  });
}

function examined(
  { name, arguments: text }: AskedCall,
  { tools }: Rules,
): { input: Json; result: string | null } {
  const tool = tools.find((candidate) => candidate.name === name);
  if (tool === undefined) {
    const names = tools.map((known) => known.name).join(', ');
    const known = names === '' ? 'There are no tools.' : `The tools are: ${names}.`;
    return { input: null, result: `Error: there is no tool ${JSON.stringify(name)}. ${known}` };
  }
  const input = argumentsOf(text);
  if (input === undefined) return { input: null, result: 'Error: the arguments are not a JSON object.' };
  const faults = tool.faultsOf(input);
  const result = faults.length === 0 ? null : `Error: the arguments do not fit. ${faults.join(' ')}`;
  return { input, result };
}

/** A tool without parameters is often called with an empty text. */
function argumentsOf(text: string): JsonObject | undefined {
  if (text.trim() === '') return {};
  try {
    const value = JSON.parse(text) as Json;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function askedMessage(text: string | null, calls: readonly AskedCall[]): Message {
  const sent = calls.map(
    ({ id, name, arguments: given }): SentCall => ({
      id,
      type: 'function',
      function: { name, arguments: given },
    }),
  );
  return { role: 'assistant', content: text, tool_calls: sent };
}

function cutFault(tokens: number | null, { maxTokens }: Rules): Fault {
  if (maxTokens !== null && (tokens === null || tokens >= maxTokens)) return overBudget(tokens, maxTokens);
  return { code: 'invalid_answer', message: 'the answer is cut: it is longer than the model may answer' };
}

function overBudget(tokens: number | null, maxTokens: number): Fault {
  const used = tokens === null ? 'all' : String(tokens);
  return {
    code: 'token_budget',
    message: `${used} of ${maxTokens} tokens (maxTokens) are used, without an answer`,
  };
}
