/**
 * `email`: sends a mail over SMTP and gives its Message-ID.
 *
 * Not here: what a message may be (message.ts), connections and their failures (mailer.ts).
 *
 * A mail is sent at least once: when the server takes it and its answer is lost, the next attempt sends it again, with
 * the same Message-ID.
 */
import type { JsonObject } from '../../core/json/json.ts';
import type { KnownParams, ParamFault } from '../../core/step-type.ts';
import { faultsOf } from '../measure.ts';
import type { StepType } from '../step-type.ts';
import { MAX_ADDRESS_LENGTH, type MailAddress } from './address.ts';
import type { Mailer } from './mailer.ts';
import {
  type Attachment,
  checkAddresses,
  checkCount,
  composeMail,
  type EmailParams,
  MAX_ATTACHMENTS,
  MAX_BODY_LENGTH,
  MAX_RECIPIENTS,
  readAttachments,
} from './message.ts';

/** A line break in a header would let a value add headers of its own. */
const ONE_LINE = '^[^\\r\\n\\x00]*$';
const EXAMPLES = ['ada@example.com', 'Ada Lovelace <ada@example.com>'];
const ADDRESS = {
  type: 'string',
  minLength: 3,
  maxLength: MAX_ADDRESS_LENGTH,
  pattern: ONE_LINE,
  examples: EXAMPLES,
};

function addresses(description: string, least: number) {
  return {
    description,
    anyOf: [ADDRESS, { type: 'array', minItems: least, maxItems: MAX_RECIPIENTS, items: ADDRESS }],
  };
}

const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['to', 'subject'],
  properties: {
    to: addresses(
      'The receivers: an address, such as "ada@example.com" or "Ada <ada@example.com>", or a list.',
      1,
    ),
    cc: addresses('Further receivers, whom all others see.', 0),
    bcc: addresses('Further receivers, whom the others do not see.', 0),
    replyTo: addresses('Where answers go.', 0),
    from: {
      ...ADDRESS,
      description: 'The sender; default: EXECUTION_ENGINE_MAIL_FROM, whose domain it must have.',
    },
    subject: { type: 'string', maxLength: 998, pattern: ONE_LINE, examples: ['Your order'] },
    text: { type: 'string', maxLength: MAX_BODY_LENGTH, description: 'The mail as plain text.' },
    html: {
      type: 'string',
      maxLength: MAX_BODY_LENGTH,
      description: 'The mail as HTML; with `text` both are sent.',
    },
    attachments: {
      type: 'array',
      maxItems: MAX_ATTACHMENTS,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['filename', 'content'],
        properties: {
          filename: {
            type: 'string',
            minLength: 1,
            maxLength: 255,
            pattern: ONE_LINE,
            examples: ['offer.pdf'],
          },
          content: { type: 'string', description: 'The file as base64.' },
          encoding: { enum: ['base64', 'text'], default: 'base64', description: 'How `content` is written.' },
          contentType: {
            type: 'string',
            maxLength: 200,
            pattern: '^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;[^\\r\\n\\x00]*)?$',
            description: 'Default: the one of the file name.',
            examples: ['application/pdf'],
          },
          cid: {
            type: 'string',
            maxLength: 200,
            pattern: '^[A-Za-z0-9._@-]+$',
            examples: ['logo'],
            description: 'The name by which `html` shows it, as `cid:<name>`.',
          },
        },
      },
    },
  },
};

export function createEmail(mailer: Mailer): StepType<EmailParams> {
  const { server, sender } = mailer.settings;
  return {
    type: 'email',
    summary: 'Sends a mail over SMTP.',
    readsInputs: () => false,
    schema,
    missingSettings: (written) => [
      ...(server === null ? ['EXECUTION_ENGINE_SMTP_URL'] : []),
      ...(sender === null && written.from === undefined ? ['EXECUTION_ENGINE_MAIL_FROM'] : []),
    ],
    review: (known) => reviewEmail(known, sender),
    async run({ params, idempotencyKey, signal, log }) {
      const mail = composeMail(params, sender, idempotencyKey);
      const refused = await mailer.send(mail, signal);
      const output: JsonObject = { messageId: mail.messageId };
      if (refused.length > 0) {
        output.rejected = refused.map(({ address, response }) => ({ address, response }));
        log.warn('The mail server refused some of the recipients', { rejected: output.rejected });
      }
      return output;
    },
  };
}

const ADDRESS_FIELDS = ['to', 'cc', 'bcc', 'replyTo', 'from'] as const;

function reviewEmail(known: KnownParams, sender: MailAddress | null): ParamFault[] {
  const params = known as Partial<EmailParams>;
  const faults = ADDRESS_FIELDS.map((field) => [
    field,
    () => checkAddresses({ [field]: params[field] }, sender),
  ]);
  const attachments = (params.attachments ?? []).filter(isKnown);
  return [
    ...faultsOf({ ...Object.fromEntries(faults), attachments: () => readAttachments(attachments) }),
    ...faultsOf({ to: () => checkCount(params) }),
  ];
}

/** Returns whether no expression determines the content. */
function isKnown(attachment: Partial<Attachment>): boolean {
  return attachment.content !== undefined && !('encoding' in attachment && attachment.encoding === undefined);
}
