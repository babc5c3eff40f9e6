/**
 * A language model's server: a real HTTP server that speaks the chat protocol, and answers by a script.
 *
 * It refuses questions that are against the protocol with 400, as real servers do.
 */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { isObject, type Json, type JsonObject } from '../../../core/json/json.ts';
import { httpPeer } from '../http-peer.ts';

export interface Question {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: JsonObject;
}

/** How a question is answered: by a text, by a message and what goes with it, or by a function of the response. */
export type Reply =
  | string
  | { readonly message: JsonObject; readonly finish?: string; readonly usage?: JsonObject | null }
  | ((response: ServerResponse, question: Question) => void);

export interface ChatPeer extends AsyncDisposable {
  /** Base URL, before `/chat/completions`. */
  readonly url: string;
  /** Those that arrived, in order. */
  readonly questions: Question[];
  /** Replies to the next questions, in order; the last one is repeated. */
  replies: Reply[];
}

export const USAGE = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };

export async function chatPeer(...replies: Reply[]): Promise<ChatPeer> {
  const questions: Question[] = [];
  const peer = await httpPeer(async (request, response) => {
    const body = (await json(request).catch(() => null)) as JsonObject;
    const question = { path: request.url ?? '', headers: request.headers, body };
    questions.push(question);
    const fault = request.method === 'POST' ? faultOf(question) : 'only POST';
    if (fault !== null) return answer(response, { error: { message: fault } }, 400);
    const reply = (chat.replies.length > 1 ? chat.replies.shift() : chat.replies[0]) ?? 'hello';
    if (typeof reply === 'function') reply(response, question);
    else answer(response, completion(reply, question));
  });
  const chat: ChatPeer = {
    url: `${peer.origin}/v1`,
    questions,
    replies,
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
  return chat;
}

/** Writes a status with a JSON body. */
export function answer(response: ServerResponse, body: Json, status = 200, headers = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

export function completion(reply: Exclude<Reply, (...all: never) => void>, { body }: Question): JsonObject {
  const given = typeof reply === 'string' ? { message: { content: reply } } : reply;
  const { message, finish = 'stop', usage = USAGE } = given as Exclude<typeof reply, string>;
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_900_000_000,
    model: String(body.model),
    choices: [{ index: 0, message: { role: 'assistant', content: null, ...message }, finish_reason: finish }],
    ...(usage === null ? {} : { usage }),
  };
}

function faultOf({ path, body }: Question): string | null {
  if (!path.split('?')[0]!.endsWith('/chat/completions')) return 'no such path';
  if (!isObject(body)) return 'the body is not JSON';
  if (typeof body.model !== 'string') return 'model is missing';
  if (!Array.isArray(body.messages) || body.messages.length === 0) return 'messages are missing';
  return callsFault(body.messages as JsonObject[]);
}

/** Each call of an answer is followed by its result before anything else. */
function callsFault(messages: readonly JsonObject[]): string | null {
  let open: unknown[] = [];
  for (const { role, tool_calls: calls, tool_call_id: id } of messages) {
    if (role === 'tool') {
      if (open.shift() !== id) return `the result of ${String(id)} is out of place`;
    } else if (open.length > 0) return `the call ${String(open[0])} has no result`;
    else if (Array.isArray(calls)) open = calls.map((call) => (call as JsonObject).id);
  }
  return open.length === 0 ? null : `the call ${String(open[0])} has no result`;
}
