/**
 * Deliberate bugs in what answers from outside may do: decisions about forms, requests to hooks, and mails.
 */
import type { Mutant } from './mutant.ts';

const DECISIONS = ['core/forms'];
const FORMS = ['tests/integration/executions/forms.test.ts'];
const HOOKS = ['tests/integration/executions/webhooks.test.ts'];
const TOKENS = ['core/hooks'];
const SIGNATURES = ['core/signature'];
const MAILS = ['steps/email'];
const SENT = ['tests/integration/executions/mails.test.ts'];

export const ANSWER_MUTANTS: readonly Mutant[] = [
  {
    name: 'forms: a user decides twice',
    file: 'core/forms/decisions.ts',
    find: "return hasDecided ? 'already_decided' : null;",
    replace: 'return hasDecided && decisions.length === 0 ? null : null;',
    tests: DECISIONS,
  },
  {
    name: 'forms: another spelling of an id is another user',
    file: 'core/forms/decisions.ts',
    find: 'return UUID.test(id) ? id.toLowerCase() : id;',
    replace: 'return UUID.test(id) ? id : id;',
    tests: DECISIONS,
  },
  {
    name: 'forms: who started the execution approves it',
    file: 'core/forms/decisions.ts',
    find: 'if (rules.noSelfApproval && startedBy !== null && userKey(startedBy) === user)',
    replace: 'if (rules.noSelfApproval && startedBy === user && decisions.length > 0)',
    tests: DECISIONS,
  },
  {
    name: 'forms: anybody answers a form that is assigned to others',
    file: 'core/forms/decisions.ts',
    find: "if (!isAssigned(rules.assignees, user, roles)) return 'not_assigned';",
    replace: "if (!isAssigned(rules.assignees, user, roles) && user === '') return 'not_assigned';",
    tests: DECISIONS,
  },
  {
    name: 'forms: one approval too few is enough',
    file: 'core/forms/decisions.ts',
    find: "if (approvals >= approve) return 'approve';",
    replace: "if (approvals >= Math.max(1, approve - 1)) return 'approve';",
    tests: DECISIONS,
  },
  {
    name: 'forms: of two decisions at the same moment one is lost',
    file: 'services/forms/form-judge.ts',
    find: 'const decisions = [...form.decisions, vote];',
    replace: 'const decisions = [...form.decisions.slice(1), vote];',
    tests: FORMS,
  },
  {
    name: 'forms: an output that does not fit the schema is taken',
    file: 'services/forms/form-judge.ts',
    find: "if (body.decision !== 'reject') await this.#requireFitting(step, body, output);",
    replace: '',
    tests: FORMS,
  },
  {
    name: 'forms: a rejected form is tried again',
    file: 'services/forms/form-judge.ts',
    find: "return { error: { code: 'rejected', message, details }, retryable: false };",
    replace: "return { error: { code: 'rejected', message, details }, retryable: true };",
    tests: FORMS,
  },
  {
    name: 'forms: those of other workspaces are in the inbox',
    file: 'db/waits/form.ts',
    find: 'and ($2::uuid is null or e.workspace_id = $2)',
    replace: 'and ($2::uuid is null or true)',
    tests: FORMS,
  },
  {
    name: 'hooks: a URL takes more than one request',
    file: 'services/hooks/kept-requests.ts',
    find: 'const signalId = hookSignalId(token);',
    replace: 'const signalId = hookSignalId(token + payload);',
    tests: HOOKS,
  },
  {
    name: 'hooks: a request that comes early is lost',
    file: 'core/claims/claim-events.ts',
    find: "if (kind === 'signal' || kind === 'webhook') plan.awaitsSignal = true;",
    replace: "if (kind === 'signal') plan.awaitsSignal = true;",
    tests: HOOKS,
  },
  {
    name: 'hooks: a request that the step has refused uses the URL up',
    file: 'db/waits/kept-request.ts',
    find: 'and ($3::boolean or refusal is not null)',
    replace: 'and $3::boolean',
    tests: HOOKS,
  },
  {
    name: 'hooks: a step that is over takes a request',
    file: 'services/hooks/hook-service.ts',
    find: 'if (isFinalStep(status))',
    replace: "if (status === 'failed' && isFinalStep(status) && waitingFor !== null)",
    tests: HOOKS,
  },
  {
    name: 'hooks: the signature is not asked for',
    file: 'services/hooks/hook-service.ts',
    find: 'checkSignature(written.signature, request, secrets);',
    replace: 'checkSignature(undefined, request, secrets);',
    tests: HOOKS,
  },
  {
    name: 'hooks: without its secret every signature is right',
    file: 'services/hooks/hook-signature.ts',
    find: "    secret === null\n      ? 'wrong'",
    replace: '    secret === null\n      ? null',
    tests: HOOKS,
  },
  {
    name: 'hooks: a token that was changed names a step',
    file: 'core/hooks/token.ts',
    find: 'if (!timingSafeEqual(bytes.subarray(-MAC_BYTES), macOf(key, named))) return null;',
    replace: '',
    tests: TOKENS,
  },
  {
    name: 'hooks: an old signature counts',
    file: 'core/signature/signature.ts',
    find: "return Math.abs(now - timestamp) <= WINDOW_SECONDS ? null : 'too_old';",
    replace: 'return null;',
    tests: SIGNATURES,
  },
  {
    name: 'hooks: a signature covers no body',
    file: 'core/signature/signature.ts',
    find: '.update(signed).update(request.body).digest()',
    replace: '.update(signed).digest()',
    tests: SIGNATURES,
  },
  {
    name: 'hooks: the time is not part of what is signed',
    file: 'core/signature/signature.ts',
    find: 'return timestamp === null ? null : { ...found, timestamp, signed: `${timestamp}.` };',
    replace: 'return timestamp === null ? null : { ...found, timestamp };',
    tests: SIGNATURES,
  },
  {
    name: 'mails: a line break in a header is let through',
    file: 'steps/email/email.ts',
    find: "const ONE_LINE = '^[^\\\\r\\\\n\\\\x00]*$';",
    replace: "const ONE_LINE = '^[^\\\\x00]*$';",
    tests: SENT,
  },
  {
    name: 'mails: a text holds several addresses',
    file: 'steps/email/address.ts',
    find: '"(),:;<>@[\\\\]\\\\\\\\]{1,64}@',
    replace: '"():;<>@[\\\\]\\\\\\\\]{1,64}@',
    tests: MAILS,
  },
  {
    name: 'mails: the sender has any domain',
    file: 'steps/email/message.ts',
    find: 'if (sender === null || domainOf(from) === domainOf(sender)) return from;',
    replace: 'if (sender !== undefined) return from;',
    tests: MAILS,
  },
  {
    name: 'mails: each attempt has a Message-ID of its own',
    file: 'steps/email/message.ts',
    find: 'const messageId = `<${idOf(idempotencyKey)}@',
    replace: 'const messageId = `<${idOf(idempotencyKey + performance.now())}@',
    tests: MAILS,
  },
  {
    name: 'mails: hidden receivers are in the headers',
    file: 'steps/email/message.ts',
    find: '  return { messageId, from: path || from.address, to, open: () => message.createReadStream() };',
    replace:
      '  message.keepBcc = true;\n  return { messageId, from: path || from.address, to, open: () => message.createReadStream() };',
    tests: MAILS,
  },
  {
    name: 'mails: what the server refuses for good is tried again',
    file: 'steps/email/mailer.ts',
    find: 'retryable: codes.some((one) => one !== undefined && one < 500),',
    replace: 'retryable: true,',
    tests: MAILS,
  },
];
