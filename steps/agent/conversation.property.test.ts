/**
 * Conversations against an oracle: models that answer anything, tools that end in any order, every budget.
 *
 * The oracle plays the same script with lists and loops, and knows nothing of states.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Json, JsonObject } from '../../core/json/json.ts';
import { cases } from '../../tests/support/core/cases.ts';
import {
  type Answer,
  begin,
  type Conversation,
  type Message,
  nextOf,
  type Rules,
  type Tool,
  withAnswer,
  withResult,
} from './conversation.ts';

/** Takes objects whose `n` is a number, if they have one. */
const strict = (name: string): Tool => ({
  name,
  faultsOf: (input) => (typeof ((input as JsonObject).n ?? 0) === 'number' ? [] : ['n must be a number.']),
});

const call = fc.record({
  id: fc.constantFrom('', 'a', 'a', 'b', 'call_0', 'call_1'),
  name: fc.constantFrom('look', 'look', 'send', 'gone', ''),
  arguments: fc.constantFrom('', ' ', '{}', '{"n":1}', '{"n":"one"}', '{"n":', '[]', 'null', '7', '"x"'),
});

const answer = fc.record({
  text: fc.option(fc.constantFrom('', 'yes', 'no'), { freq: 3 }),
  calls: fc.oneof(fc.constant([]), fc.array(call, { minLength: 1, maxLength: 4 })),
  tokens: fc.option(fc.nat({ max: 20 }), { freq: 6 }),
  isCut: fc.boolean().map((is) => is),
  refused: fc.option(fc.constant('I will not'), { freq: 1 }),
});

/** Most answers are whole and not refused. */
const script = fc.array(
  fc.tuple(answer, fc.nat({ max: 9 })).map(([given, luck]) => ({
    ...given,
    isCut: luck === 0 && given.isCut,
    refused: luck === 1 ? given.refused : null,
  })),
  { maxLength: 8 },
);

const rules = fc.record({
  maxTurns: fc.integer({ min: 1, max: 6 }),
  maxTokens: fc.option(fc.integer({ min: 1, max: 60 })),
  names: fc.subarray(['look', 'send']),
});

interface Played {
  /** Messages of each question. */
  readonly questions: readonly (readonly Message[])[];
  readonly left: readonly (number | null)[];
  readonly ran: readonly { readonly name: string; readonly input: Json }[];
  /** Text, code of the fault, or that the script has no further answer. */
  readonly end: string;
}

/** Plays with the module; tools end in the order that `pick` gives. */
function play(answers: readonly Answer[], given: Rules, pick: (open: number) => number): Played {
  const questions: (readonly Message[])[] = [];
  const left: (number | null)[] = [];
  const ran: { name: string; input: Json }[] = [];
  const started = new Set<string>();
  let conversation: Conversation = begin([{ role: 'user', content: 'Hi' }]);
  for (;;) {
    // Whatever is kept between two steps is JSON.
    conversation = JSON.parse(JSON.stringify(conversation)) as Conversation;
    const next = nextOf(conversation, given);
    if (next.kind === 'done') return { questions, left, ran, end: `done ${next.text}` };
    if (next.kind === 'failed') return { questions, left, ran, end: next.fault.code };
    if (next.kind === 'run') {
      for (const { id, name, input } of next.calls) {
        if (started.has(`${questions.length} ${id}`)) continue;
        started.add(`${questions.length} ${id}`);
        ran.push({ name, input });
      }
      const { id, name, input } = next.calls[pick(next.calls.length)]!;
      conversation = withResult(conversation, id, resultOf(name, input));
      // A result that comes twice changes nothing.
      conversation = withResult(conversation, id, 'again');
      continue;
    }
    questions.push(next.messages);
    left.push(next.tokensLeft);
    const reply = answers[questions.length - 1];
    if (reply === undefined) return { questions, left, ran, end: 'open' };
    conversation = withAnswer(conversation, reply, given);
  }
}

const resultOf = (name: string, input: Json) => `${name} gave ${JSON.stringify(input)}`;

/** What must come of it, told in one go. */
function oracle(
  answers: readonly Answer[],
  { maxTurns, maxTokens, tools }: Rules,
): Omit<Played, 'questions'> & {
  readonly results: readonly (readonly string[])[];
} {
  const left: (number | null)[] = [];
  const ran: { name: string; input: Json }[] = [];
  const results: string[][] = [];
  const over = (end: string) => ({ left, ran, results, end });
  for (let turn = 0; ; turn += 1) {
    const counted = answers.slice(0, turn).map(({ tokens }) => tokens);
    const used = counted.reduce<number>((sum, tokens) => sum + (tokens ?? Number.POSITIVE_INFINITY), 0);
    if (turn === maxTurns) return over('max_turns');
    if (maxTokens !== null && used >= maxTokens) return over('token_budget');
    left.push(maxTokens === null ? null : maxTokens - used);
    const reply = answers[turn];
    if (reply === undefined) return over('open');
    if (reply.refused !== null) return over('invalid_answer');
    const all = used + (reply.tokens ?? Number.POSITIVE_INFINITY);
    if (reply.isCut) return over(maxTokens !== null && all >= maxTokens ? 'token_budget' : 'invalid_answer');
    if (reply.calls.length === 0) return over(reply.text === null ? 'invalid_answer' : `done ${reply.text}`);
    const goesOn = turn + 1 < maxTurns && (maxTokens === null || all < maxTokens);
    results.push(
      reply.calls.map(({ name, arguments: text }) => {
        if (!tools.some((tool) => tool.name === name)) return 'there is no tool';
        const input = ['', ' '].includes(text) ? {} : parsed(text);
        if (input === undefined || input === null || typeof input !== 'object' || Array.isArray(input))
          return 'not a JSON object';
        if (input.n !== undefined && typeof input.n !== 'number') return 'n must be a number';
        if (goesOn) ran.push({ name, input });
        return resultOf(name, input);
      }),
    );
  }
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

test('a conversation takes the course of the oracle, in whatever order its tools end', () => {
  fc.assert(
    fc.property(
      script,
      rules,
      fc.array(fc.nat(), { minLength: 1, maxLength: 9 }),
      (answers, given, picks) => {
        const known = { ...given, tools: given.names.map(strict) };
        let picked = 0;
        const pick = (open: number) => picks[picked++ % picks.length]! % open;
        const played = play(answers, known, pick);
        const { results, ...expected } = oracle(answers, known);
        const { questions, ...found } = played;
        expect(found).toEqual(expected);
        expect(questions.length).toBe(expected.left.length);
        for (const [at, messages] of questions.entries())
          expectWellFormed(messages, answers, results.slice(0, at));
      },
    ),
    cases(300),
  );
});

/** A question has all that was said before, with one result for each call, in the order of the calls. */
function expectWellFormed(
  messages: readonly Message[],
  answers: readonly Answer[],
  results: readonly (readonly string[])[],
): void {
  const rest = [...messages];
  expect(rest.shift()).toEqual({ role: 'user', content: 'Hi' });
  for (const [turn, told] of results.entries()) {
    const asked = rest.shift() as Extract<Message, { role: 'assistant' }>;
    expect([asked.role, asked.content]).toEqual(['assistant', answers[turn]!.text]);
    const sent = asked.tool_calls!.map(({ function: { name, arguments: text } }) => [name, text]);
    expect(sent).toEqual(answers[turn]!.calls.map(({ name, arguments: text }) => [name, text]));
    const ids = asked.tool_calls!.map(({ id }) => id);
    expect(ids.filter((id) => id === '')).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [at, part] of told.entries()) {
      const result = rest.shift() as Extract<Message, { role: 'tool' }>;
      expect([result.role, result.tool_call_id]).toEqual(['tool', ids[at]!]);
      expect(result.content).toContain(part);
    }
  }
  expect(rest).toEqual([]);
}
