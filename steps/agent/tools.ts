/**
 * The calls of tools as scopes of the step, and the conversation that goes on when they have ended.
 *
 * All calls of an answer run side by side. The state of the parked step is the conversation without its first messages,
 * which its parameters give again.
 *
 * 1. The scopes of a step are numbered over all its attempts: those of a turn follow on those of the turns before.
 * 2. A tool that fails does not fail the step: the model is told.
 */
import type { Json } from '../../core/json/json.ts';
import type { HeldScopes } from '../../core/scopes/held-scopes.ts';
import { cutText } from '../../core/text/cut.ts';
import { Holding, type ScopeAccess, type ScopeOutcome } from '../step-type.ts';
import { type Conversation, type Rules, withResult } from './conversation.ts';

const MAX_RESULT_LENGTH = 100_000;
/** More than a conversation can have. */
const ALL_MAY_FAIL = 2 ** 31 - 1;

interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly input: Json;
}

interface Kept {
  readonly conversation: Conversation;
  /** Index of the scope of the first call. */
  readonly first: number;
  /** Ids of the calls, in the order of their scopes. */
  readonly calls: readonly string[];
}

/**
 * @param begun the conversation as it began
 * @param isFirst whether the attempt has opened no scopes so far
 */
export function toolScopes(
  conversation: Conversation,
  begun: Conversation,
  calls: readonly ToolCall[],
  { tools }: Rules,
  { held, isFirst }: { readonly held: HeldScopes | null; readonly isFirst: boolean },
): Holding {
  const kept: Kept = {
    conversation: { ...conversation, messages: conversation.messages.slice(begun.messages.length) },
    first: held?.total ?? 0,
    calls: calls.map(({ id }) => id),
  };
  const scopes = {
    count: calls.length,
    concurrency: calls.length,
    tolerated: ALL_MAY_FAIL,
    items: calls.map(({ input }) => input),
    parts: calls.map(({ name }) => tools.findIndex((tool) => tool.name === name)),
    // Nothing of an earlier attempt runs again.
    ...(isFirst && held !== null ? { again: [] } : {}),
  };
  return new Holding(scopes, kept as unknown as Json);
}

/** Returns the conversation with the results of the tools that it waited for. @param begun as it began */
export async function resumedConversation(
  begun: Conversation,
  state: Json,
  scopes: ScopeAccess,
): Promise<Conversation> {
  const { conversation, first, calls } = state as unknown as Kept;
  const outcomes = await scopes.results(first);
  let restored: Conversation = { ...conversation, messages: [...begun.messages, ...conversation.messages] };
  for (const [at, id] of calls.entries()) restored = withResult(restored, id, resultOf(outcomes[at]));
  return restored;
}

/** Text stays as it is, anything else is JSON. */
function resultOf(outcome: ScopeOutcome | undefined): string {
  if (outcome?.status !== 'completed') {
    const { code = 'cancelled', message = 'The call was ended.' } = outcome?.error ?? {};
    return `Error: ${code}: ${message}`;
  }
  const { outputs } = outcome;
  // Of a long one the model reads the beginning: its end is not worth the time to parse it.
  if (outputs !== null && outputs.length > MAX_RESULT_LENGTH) return cutText(outputs, MAX_RESULT_LENGTH);
  const value = JSON.parse(outputs ?? 'null') as Json;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
