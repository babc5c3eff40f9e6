/**
 * Deliberate bugs in agents: their keys, budgets, answers and tools.
 */
import type { Mutant } from './mutant.ts';

const AGENT = ['steps/agent'];
const TOOLS = ['tests/integration/executions/agent-tools.test.ts'];

export const AGENT_MUTANTS: readonly Mutant[] = [
  {
    name: 'agents: the key of the engine goes to the URL of a step',
    file: 'steps/agent/agent.ts',
    find: 'return { client, url, key: key ?? null };',
    replace: 'return { client, url, key: key ?? settings.key };',
    tests: AGENT,
  },
  {
    name: 'agents: the URL of a step may be private',
    file: 'steps/agent/agent.ts',
    find: 'return { client, url, key: key ?? null };',
    replace: 'return { client: ownClient, url, key: key ?? null };',
    tests: AGENT,
  },
  {
    name: 'agents: a redirect is followed',
    file: 'steps/agent/chat.ts',
    find: 'maxRedirects: 0',
    replace: 'maxRedirects: 5',
    tests: AGENT,
  },
  {
    name: 'agents: results go to the model as they come',
    file: 'steps/agent/conversation.ts',
    find: 'if (calls.some(({ result }) => result === null)) return conversation;',
    replace: 'if (calls.every(({ result }) => result === null)) return conversation;',
    tests: AGENT,
  },
  {
    name: 'agents: tokens that are not counted are free',
    file: 'steps/agent/conversation.ts',
    find: 'before.tokens === null || answer.tokens === null ? null : before.tokens + answer.tokens',
    replace: '(before.tokens ?? 0) + (answer.tokens ?? 0)',
    tests: AGENT,
  },
  {
    name: 'agents: every call runs the steps of the first tool',
    file: 'core/scopes/held-scopes.ts',
    find: 'return parts?.[index] ?? 0;',
    replace: 'return 0;',
    tests: ['core/scopes/held-scopes.test.ts'],
  },
  {
    name: 'agents: arguments of a later turn are those of the first one',
    file: 'core/claims/claim-events.ts',
    find: 'firstIndex: total + piece.firstIndex',
    replace: 'firstIndex: piece.firstIndex',
    tests: TOOLS,
  },
  {
    name: 'agents: a tool reads the input of the execution',
    file: 'payload/outer-scopes.ts',
    find: 'return view.graph.held?.scope.ownInput === true;',
    replace: 'return view.sequence < 0;',
    tests: TOOLS,
  },
];
