/**
 * One question to a language model: `POST <url>/chat/completions`, as OpenAI and the servers compatible with it have it.
 *
 * 1. The whole answer comes at once: no streaming.
 * 2. A redirect is not followed: question and key go to the given URL alone.
 * 3. Whatever goes wrong is `llm_failed`, retryable as in `http`; an answer that is no answer is `invalid_answer`.
 */
import { isObject, type JsonObject } from '../../core/json/json.ts';
import { cutText } from '../../core/text/cut.ts';
import { decodeOutput, encodeBody } from '../http/body.ts';
import type { HttpClient } from '../http/client.ts';
import type { HttpReply } from '../http/reply.ts';
import { shortened, statusFailure } from '../http/status-failure.ts';
import { shownUrl } from '../http/target.ts';
import { StepFailure } from '../step-type.ts';
import type { Answer, AskedCall } from './conversation.ts';
import { invalidAnswer } from './invalid-answer.ts';

export interface Endpoint {
  readonly client: HttpClient;
  readonly url: string;
  /** Null: none is sent. */
  readonly key: string | null;
}

/** An answer, and its record for those who read the attempt. */
export interface Turn {
  readonly answer: Answer;
  readonly record: JsonObject;
}

/** A model that thinks may take minutes; the step's timeout is usually shorter. */
const MAX_CALL_MS = 10 * 60_000;
/** Reasons for which an answer ends before its end. */
const CUT = 'length';
const FILTERED = 'content_filter';
const MAX_REFUSAL_LENGTH = 500;

export type Ask = (endpoint: Endpoint, question: JsonObject, signal: AbortSignal) => Promise<Turn>;

/** @throws StepFailure, or the reason of the signal */
export const ask: Ask = async (endpoint, question, signal) => {
  const begunAt = performance.now();
  const { url, reply } = await call(endpoint, question, signal);
  const shown = `POST ${shownUrl(url)}`;
  if (reply.status < 200 || reply.status > 299) throw statusFailure('llm_failed', shown, reply);
  if (reply.fault !== null) throw failedCall(reply.fault);
  const { body } = await decodeOutput(reply.body, 'application/json', 'text');
  const choice = choiceOf(body);
  if (choice === null) {
    const message = `${shown} answered ${reply.status} with no chat completion`;
    throw invalidAnswer(message, shortened(reply));
  }
  return turnOf(body as JsonObject, choice, performance.now() - begunAt);
};

async function call(
  { client, url: base, key }: Endpoint,
  question: JsonObject,
  signal: AbortSignal,
): Promise<{ url: string; reply: HttpReply }> {
  const url = completionsUrl(base);
  const headers = {
    accept: 'application/json',
    'accept-encoding': 'gzip, deflate, br',
    'content-type': 'application/json',
    'user-agent': 'execution-engine',
    ...(key === null ? {} : { authorization: `Bearer ${key}` }),
  };
  const { body } = await encodeBody(question, 'application/json');
  try {
    const sent = { method: 'POST', url, headers, body, timeoutMs: MAX_CALL_MS, maxRedirects: 0, signal };
    return { url, reply: await client(sent) };
  } catch (error) {
    if (signal.aborted || !(error instanceof StepFailure)) throw error;
    throw failedCall(error);
  }
}

/** As text: `URL` would change the spelling, and the masker knows a secret only as it was given. */
function completionsUrl(base: string): string {
  const [, path = '', query = ''] = /^([^?#]*)(\?[^#]*)?/.exec(base.trim()) ?? [];
  return `${path.replace(/\/+$/, '')}/chat/completions${query}`;
}

function failedCall({ code, message, retryable, details }: StepFailure): StepFailure {
  const known = isObject(details) ? details : {};
  return new StepFailure('llm_failed', message, { retryable, details: { ...known, reason: code } });
}

interface Choice {
  readonly message: JsonObject;
  readonly reason: string | null;
}

/** Returns the first choice of a chat completion; null: it is none. */
function choiceOf(body: unknown): Choice | null {
  if (!isObject(body) || !Array.isArray(body.choices)) return null;
  const [choice] = body.choices as unknown[];
  if (!isObject(choice) || !isObject(choice.message)) return null;
  const { finish_reason: reason } = choice;
  return { message: choice.message as JsonObject, reason: typeof reason === 'string' ? reason : null };
}

function turnOf(body: JsonObject, { message, reason }: Choice, tookMs: number): Turn {
  const text = textOf(message.content);
  const refusal = typeof message.refusal === 'string' ? message.refusal : null;
  const calls = callsOf(message.tool_calls);
  const usage = isObject(body.usage) ? (body.usage as JsonObject) : null;
  const refused =
    refusal !== null
      ? `the model refuses to answer: ${cutText(refusal, MAX_REFUSAL_LENGTH)}`
      : reason === FILTERED
        ? 'the answer was withheld by a content filter'
        : null;
  const answer = { text, calls, tokens: tokensOf(usage), isCut: reason === CUT, refused };
  const record = {
    model: typeof body.model === 'string' ? body.model : null,
    content: text,
    refusal,
    tool_calls: calls.map(({ id, name, arguments: given }) => ({ id, name, arguments: given })),
    finish_reason: reason,
    usage,
    took_ms: Math.round(tookMs),
  };
  return { answer, record };
}

/** Text, or the text of its parts. */
function textOf(content: unknown): string | null {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return null;
  const parts = content.flatMap((part: unknown) =>
    isObject(part) && typeof part.text === 'string' ? [part.text] : [],
  );
  return parts.length === 0 ? null : parts.join('');
}

function callsOf(calls: unknown): AskedCall[] {
  if (!Array.isArray(calls)) return [];
  return calls.map((call: unknown) => {
    const { id, function: given } = isObject(call) ? call : {};
    const { name, arguments: text } = isObject(given) ? given : {};
    return {
      id: typeof id === 'string' ? id : '',
      name: typeof name === 'string' ? name : '',
      // Some servers send the arguments as a value.
      arguments: typeof text === 'string' ? text : JSON.stringify(text ?? {}),
    };
  });
}

function tokensOf(usage: JsonObject | null): number | null {
  const { total_tokens: total, prompt_tokens: prompt, completion_tokens: completion } = usage ?? {};
  if (isCount(total)) return total;
  return isCount(prompt) && isCount(completion) ? prompt + completion : null;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
