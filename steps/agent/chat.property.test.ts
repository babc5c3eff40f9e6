/**
 * Whatever a server answers, the handler ends with an output, or with a failure that has a code of its own.
 */
import { afterAll, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Json, JsonObject } from '../../core/json/json.ts';
import { createSchemaChecker } from '../../definition/schema/json-schema.ts';
import { cases } from '../../tests/support/core/cases.ts';
import { type ChatPeer, chatPeer } from '../../tests/support/peers/chat-peer.ts';
import { stepContext } from '../../tests/support/step-context.ts';
import { createStepTypes } from '../registry.ts';
import { StepFailure } from '../step-type.ts';

const peer: ChatPeer = await chatPeer();
afterAll(() => peer[Symbol.asyncDispose]());
const checker = createSchemaChecker();
const agent = createStepTypes({
  http: { allow: [], maxResponseBytes: 100_000, timeoutMs: 60_000 },
  script: { timeoutMs: 1_000, memoryBytes: 2 ** 20 },
  agent: { url: peer.url, key: null },
  schemas: () => checker,
}).get('agent')!;

const CODES = ['invalid_answer', 'llm_failed', 'max_turns', 'token_budget'];
const any = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>;

/** A value of the protocol, or anything in its place. */
const or = (value: fc.Arbitrary<Json>) =>
  fc.oneof({ arbitrary: value, weight: 4 }, { arbitrary: any, weight: 1 });

const call = fc.record(
  {
    id: or(fc.string({ maxLength: 3 })),
    type: or(fc.constant('function')),
    function: or(
      fc.record(
        { name: or(fc.constant('look')), arguments: or(fc.json({ maxDepth: 1 })) },
        { requiredKeys: [] },
      ) as fc.Arbitrary<Json>,
    ),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Json>;

const message = fc.record(
  {
    content: or(fc.oneof(fc.constant(null), fc.json({ maxDepth: 2 }), fc.string())),
    refusal: or(fc.constant(null)),
    tool_calls: or(fc.array(or(call), { maxLength: 2 }) as fc.Arbitrary<Json>),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Json>;

const choice = fc.record(
  {
    message: or(message),
    finish_reason: or(fc.constantFrom('stop', 'length', 'tool_calls', 'content_filter')),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Json>;

const body = or(
  fc.record(
    {
      choices: or(fc.array(or(choice), { maxLength: 2 }) as fc.Arbitrary<Json>),
      usage: or(fc.constant({ total_tokens: 5 })),
      model: any,
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<Json>,
);

const params = fc.record(
  {
    maxTokens: fc.integer({ min: 1, max: 12 }),
    maxTurns: fc.integer({ min: 1, max: 3 }),
    schema: fc.constantFrom<JsonObject[]>(
      { type: 'object' },
      {},
      { type: 'array', items: { type: 'integer' } },
    ),
  },
  { requiredKeys: ['maxTurns'] },
);

test('any answer is an output or a failure of the agent, and its turns are objects', async () => {
  await fc.assert(
    fc.asyncProperty(body, params, fc.boolean(), async (answered, given, isCut) => {
      const text = JSON.stringify(answered);
      peer.replies = [
        (response) => {
          response.setHeader('content-type', 'application/json');
          response.end(isCut ? text.slice(0, Math.floor(text.length / 2)) : text);
        },
      ];
      let turns = 0;
      const context = stepContext({
        params: { model: 'm', prompt: 'Hi', ...given } as JsonObject,
        keepTurn: async (number, turn) => {
          turns += 1;
          expect([number, JSON.parse(JSON.stringify(turn))]).toEqual([turns, turn]);
        },
      });
      try {
        const output = (await agent.run(context)) as Json;
        if (given.schema === undefined) expect(output).toBeString();
        else expect(checker.validate(given.schema, output)).toEqual([]);
      } catch (error) {
        expect(error).toBeInstanceOf(StepFailure);
        expect(CODES).toContain((error as StepFailure).code);
      }
      expect(turns).toBeLessThanOrEqual(given.maxTurns);
    }),
    cases(150),
  );
});
