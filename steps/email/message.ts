/**
 * The message of an `email` step: its parameters, checked, as nodemailer takes them.
 *
 * 1. Addresses are handed over in parts, contents as bytes or text: the library parses no address, reads no file and
 *    calls no URL.
 * 2. No text with a line break gets into a header.
 * 3. The Message-ID is the same in all attempts, so that a receiver can recognize a mail that was sent twice.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type MailComposer from 'nodemailer/lib/mail-composer';
import { onDemand } from '../../process/module-on-demand.ts';
import { StepFailure } from '../step-type.ts';
import { ADDRESS_ACCEPTED, domainOf, type MailAddress, parseAddress } from './address.ts';

const mailComposer = onDemand<typeof MailComposer>('nodemailer/lib/mail-composer');

export interface Attachment {
  filename: string;
  /** base64, unless `encoding` says otherwise. */
  content: string;
  encoding?: 'base64' | 'text';
  contentType?: string;
  cid?: string;
}

export interface EmailParams {
  to: string | string[];
  cc?: string | string[];
  bcc?: string | string[];
  replyTo?: string | string[];
  from?: string;
  subject: string;
  text?: string;
  html?: string;
  attachments?: Attachment[];
}

/** A mail that is ready to be sent. */
export interface Mail {
  readonly messageId: string;
  readonly from: string;
  readonly to: readonly string[];
  /** Returns the whole message; once. */
  open(): Readable;
}

export const MAX_RECIPIENTS = 100;
export const MAX_ATTACHMENTS = 20;
/** Of all attachments together. */
export const MAX_ATTACHED_BYTES = 10 * 1024 * 1024;
export const MAX_BODY_LENGTH = 1024 * 1024;

const RECIPIENT_FIELDS = ['to', 'cc', 'bcc'] as const;
/** A longer text is encoded as base64: quoted-printable takes its time. */
const MAX_QUOTED_LENGTH = 32 * 1024;
/** What is encoded in one turn of the event loop. */
const PIECE_BYTES = 48 * 1024;

/** Checks the parameters as far as they are known. Throws StepFailure `invalid_params`. */
export function checkAddresses(params: Partial<EmailParams>, sender: MailAddress | null): void {
  for (const field of [...RECIPIENT_FIELDS, 'replyTo'] as const) addressesOf(params[field], field);
  checkCount(params);
  if (params.from !== undefined) senderOf(params.from, sender);
}

/** Throws StepFailure `invalid_params`. */
export function checkCount(params: Partial<EmailParams>): void {
  const count = RECIPIENT_FIELDS.flatMap((field) => listOf(params[field])).length;
  if (count > MAX_RECIPIENTS)
    throw invalid(`to, cc and bcc have ${count} addresses together: up to ${MAX_RECIPIENTS} are accepted`);
}

/** Returns the contents. Throws StepFailure `invalid_params`. */
export function readAttachments(attachments: readonly Attachment[] = []): Buffer[] {
  const contents = attachments.map(contentOf);
  const bytes = contents.reduce((sum, { length }) => sum + length, 0);
  if (bytes <= MAX_ATTACHED_BYTES) return contents;
  throw invalid(`attachments have ${bytes} bytes together: up to ${MAX_ATTACHED_BYTES} are accepted`);
}

/** @param sender EXECUTION_ENGINE_MAIL_FROM @throws StepFailure `invalid_params`, `not_configured` */
export function composeMail(params: EmailParams, sender: MailAddress | null, idempotencyKey: string): Mail {
  checkAddresses(params, sender);
  const from = params.from === undefined ? sender : senderOf(params.from, sender);
  if (from === null) {
    const message = 'The mail has no sender: set EXECUTION_ENGINE_MAIL_FROM, or give the step a "from".';
    throw new StepFailure('not_configured', message);
  }
  const messageId = `<${idOf(idempotencyKey)}@${domainOf(from)}>`;
  const message = compiled(params, from, messageId);
  const { from: path, to } = message.getEnvelope();
  return { messageId, from: path || from.address, to, open: () => message.createReadStream() };
}

function compiled(params: EmailParams, from: MailAddress, messageId: string) {
  const { subject, text, html, attachments = [] } = params;
  const isLong = Math.max(text?.length ?? 0, html?.length ?? 0) > MAX_QUOTED_LENGTH;
  const recipients = Object.fromEntries(
    [...RECIPIENT_FIELDS, 'replyTo' as const].map((field) => [field, addressesOf(params[field], field)]),
  );
  return new (mailComposer())({
    ...recipients,
    from: { ...from },
    subject,
    ...(text === undefined ? {} : { text }),
    ...(html === undefined ? {} : { html }),
    ...(isLong ? { textEncoding: 'base64' as const } : {}),
    messageId,
    // Mail programs answer no such mail by themselves (RFC 3834).
    headers: { 'Auto-Submitted': 'auto-generated' },
    attachments: readAttachments(attachments).map((content, at) => {
      const { filename, contentType, cid } = attachments[at]!;
      return {
        filename,
        content: inPieces(content),
        contentTransferEncoding: 'base64' as const,
        ...(contentType === undefined ? {} : { contentType }),
        ...(cid === undefined ? {} : { cid }),
      };
    }),
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
}

function senderOf(text: string, sender: MailAddress | null): MailAddress {
  const from = addressOf(text, 'from');
  if (sender === null || domainOf(from) === domainOf(sender)) return from;
  throw invalid(
    `from is ${JSON.stringify(text)}: it must have the domain of EXECUTION_ENGINE_MAIL_FROM, ${domainOf(sender)}`,
  );
}

function addressesOf(value: string | string[] | undefined, field: string): MailAddress[] {
  return listOf(value).map((text) => addressOf(text, field));
}

/** An expression may stand for an entry, which is not known before the step runs. */
function listOf(value: string | (string | undefined)[] | undefined): string[] {
  return [value].flat().filter((text) => text !== undefined);
}

function addressOf(text: string, field: string): MailAddress {
  const address = parseAddress(text);
  if (address !== null) return address;
  throw invalid(`${field} has ${JSON.stringify(text)}: it takes ${ADDRESS_ACCEPTED}`);
}

function contentOf({ content, encoding = 'base64' }: Attachment, at: number): Buffer {
  if (encoding === 'text') return Buffer.from(content);
  const bytes = Buffer.from(content, 'base64');
  // The decoder leaves out what is no base64.
  if (content.length % 4 === 0 && bytes.length === decodedLength(content)) return bytes;
  throw invalid(`attachments[${at}].content is not base64: with "encoding: text" it may be any text`);
}

function decodedLength(base64: string): number {
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}

function inPieces(bytes: Buffer): Readable {
  const count = Math.ceil(bytes.length / PIECE_BYTES);
  return Readable.from(
    Array.from({ length: count }, (_, at) => bytes.subarray(at * PIECE_BYTES, (at + 1) * PIECE_BYTES)),
    { objectMode: false },
  );
}

function idOf(idempotencyKey: string): string {
  if (/^[A-Za-z0-9-]{1,64}$/.test(idempotencyKey)) return idempotencyKey;
  return createHash('sha256').update(idempotencyKey).digest('hex');
}

function invalid(message: string): StepFailure {
  return new StepFailure('invalid_params', message);
}
