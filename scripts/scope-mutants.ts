/**
 * Deliberate bugs between scopes and the steps that hold them: inbox, tickets, ends from above, runs.
 */
import type { Mutant } from './mutant.ts';

const ORDERS = ['tests/integration/executions/scope-orders.test.ts'];
const HELD = ['tests/integration/executions/held-inbox.test.ts'];

export const SCOPE_MUTANTS: readonly Mutant[] = [
  {
    name: 'scopes: rows that were read without a lock are folded although others have taken them',
    file: 'db/scopes/inbox.ts',
    find: "guarded('delete from workflow_inbox where id = any($1::uuid[])', 2);",
    replace: "'delete from workflow_inbox where id = any($1::uuid[]) and $2::integer > 0';",
    tests: HELD,
  },
  {
    name: 'scopes: the tickets of rows that were folded without a lock stay',
    file: 'door/committer.ts',
    find: '    remove.push(...mail.read);\n',
    replace: '',
    tests: HELD,
  },
  {
    name: 'scopes: rows are folded by whoever has the view and whoever comes first',
    file: 'door/scopes/outgoing.ts',
    find: 'ids.get(key)!, HOLDER_MS)',
    replace: 'ids.get(key)!, null)',
    tests: HELD,
  },
  {
    name: 'scopes: what was read from the inbox is handed on to a transaction that reads it again',
    file: 'door/view-loader.ts',
    find: '      return { ...unit, mails: [...told, ...unit.mails], inbox };',
    replace:
      '      const again = inbox.events.map((event) => ({ event, settle: null }));\n' +
      '      return { ...unit, mails: [...told, ...unit.mails, ...again], inbox };',
    tests: ORDERS,
  },
  {
    name: 'scopes: ends that came after the inbox was read are cancelled ones',
    file: 'door/locked-commit.ts',
    find: 'const late = heard.filter(({ id }) => inbox?.ids.includes(id) !== true);',
    replace: 'const late = heard.filter(({ id }) => inbox?.ids.includes(id) === true);',
    tests: ORDERS,
  },
  {
    name: 'scopes: an attempt in a scope of an earlier run ends the one in its place',
    file: 'core/claims/claim-events.ts',
    find: '  if (token.stepId !== undefined && state.id !== token.stepId) return null;\n',
    replace: '',
    tests: ORDERS,
  },
  {
    name: 'scopes: rows come without a ticket',
    file: 'door/scopes/outgoing.ts',
    find: 'const ids = new Map(news.map(({ key, id }) => [key, id]));',
    replace: 'const ids = new Map<ViewKey, string>();',
    tests: ORDERS,
  },
  {
    name: 'scopes: the tickets of a view are one',
    file: 'door/scopes/outgoing.ts',
    find: 'ticketFor(key, newId(), null)',
    replace: 'ticketFor(key, executionOf(key), null)',
    tests: ORDERS,
  },
  {
    name: 'scopes: rows are deleted that were not read',
    file: 'db/scopes/inbox.ts',
    find: "text: 'delete from workflow_inbox where id = any($1::uuid[])',",
    replace:
      "text: 'delete from workflow_inbox i using workflow_inbox r where r.id = any($1::uuid[]) and i.step_execution_id = r.step_execution_id',",
    tests: ORDERS,
  },
  {
    name: 'scopes: an end from above does not raise the sequence',
    file: 'db/scopes/ends-below.ts',
    find: 'set sequence = c.sequence + 1, ${change}',
    replace: 'set ${change}',
    tests: ORDERS,
  },
  {
    name: 'scopes: one that was to be opened is kept when the commit has failed',
    file: 'door/committer.ts',
    find: '      actor.free();\n      this.actors.drop(actor);\n      if (isUnknown)',
    replace: '      if (isUnknown)',
    tests: ORDERS,
  },
  {
    name: 'scopes: those that a commit without an answer has opened are looked for by nobody',
    file: 'door/committer.ts',
    find: 'if (isUnknown) this.#unsure.add(unit);',
    replace: '',
    tests: ['tests/integration/engines/scopes.test.ts'],
  },
  {
    name: 'scopes: a holder whose output comes later ends with a scope that is not committed yet',
    file: 'door/eager-frontier.ts',
    find: 'if (isLater && heard.length > 0) return this.#putOff(unit, evaluation);',
    replace: '',
    tests: ORDERS,
  },
  {
    name: 'scopes: an end that comes too late for a view in memory is lost, however old the view is',
    file: 'door/scopes/round.ts',
    find: "        event.type === 'scopes_ended' ||\n",
    replace: '',
    tests: ORDERS,
  },
  {
    name: 'scopes: a list that is too large is noticed only when all items are done',
    file: 'core/scopes/held-scopes.ts',
    find: 'return failureOfScopes(held) ?? listFailure(held.list);',
    replace: 'return failureOfScopes(held);',
    tests: ['core/scopes'],
  },
  {
    name: 'scopes: results of failed items are counted again when these are tried again',
    file: 'core/scopes/held-scopes.ts',
    find: '{ list: { ...list, failed: 0 } }',
    replace: '{ list }',
    tests: ['core/scopes'],
  },
  {
    name: 'scopes: an actor that was replaced gives back the claims of its successor',
    file: 'door/view-loader.ts',
    find: '    if ((this.#actors.find(actor.key) ?? actor) !== actor) return [];\n',
    replace: '',
    tests: ORDERS,
  },
  {
    name: 'scopes: an end from above misses scopes whose commits it had to wait for',
    file: 'db/scopes/ends-below.ts',
    find: 'with o as materialized (',
    replace: 'with o as not materialized (',
    tests: ORDERS,
  },
];
