/**
 * `chat-message`: posts a message to a channel by its incoming webhook, as Slack, Mattermost and others have them.
 */
import { defineStep, StepFailure } from 'execution-engine/steps';

export default defineStep({
  type: 'chat-message',
  summary: 'Posts a message to a chat channel.',
  params: {
    type: 'object',
    additionalProperties: false,
    required: ['webhook', 'text'],
    properties: {
      webhook: { type: 'string', format: 'uri' },
      text: { type: 'string', minLength: 1, maxLength: 4000 },
      mention: { type: 'array', items: { type: 'string' } },
    },
  },
  async run({ params, idempotencyKey, signal, log }) {
    const names = (params.mention ?? []).map((name) => `@${name} `).join('');
    const answer = await fetch(params.webhook, {
      method: 'POST',
      // Ends the call at the step's timeout, and when the execution is stopped.
      signal,
      // The same for every attempt: a receiver that knows it posts once.
      headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
      body: JSON.stringify({ text: names + params.text }),
    });
    if (!answer.ok) {
      throw new StepFailure('chat_message_refused', `the channel answered ${answer.status}`, {
        retryable: answer.status === 429 || answer.status >= 500,
        details: { status: answer.status },
      });
    }
    log.info('posted', { status: answer.status });
    return { posted: true };
  },
});
