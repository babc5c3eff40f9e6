/**
 * The signature that a hook asks for. Its secret is read when a request comes, and stored nowhere.
 */
import type { Json } from '../../core/json/json.ts';
import { isObject } from '../../core/json/json.ts';
import { EngineError } from '../../core/problem.ts';
import { type SignatureFault, type SignatureScheme, signatureFault } from '../../core/signature/signature.ts';
import { secretNameIn } from '../../steps/webhook/signature-secret.ts';
import type { HookRequest } from './hook-request.ts';

const TOLD: Readonly<Record<SignatureFault, string>> = {
  missing: 'The request has no signature of the scheme that this hook asks for.',
  wrong: 'The signature is not one of this body with the secret of this hook.',
  too_old: 'The signature is more than five minutes old.',
};

/**
 * @param signature the parameter of the step, as written; undefined: none is asked for
 * @throws EngineError('invalid_signature')
 */
export function checkSignature(
  signature: Json | undefined,
  { headers, body }: HookRequest,
  secrets: Readonly<Record<string, string>>,
): void {
  if (signature === undefined || !isObject(signature)) return;
  const written = String(signature.secret);
  const name = secretNameIn(written);
  const secret = name === null ? written : Object.hasOwn(secrets, name) ? secrets[name]! : null;
  // Without its secret no request is the right one.
  const fault =
    secret === null
      ? 'wrong'
      : signatureFault(
          { scheme: signature.scheme as SignatureScheme, secret },
          { header: (header) => headers[header], body },
          Date.now() / 1_000,
        );
  if (fault !== null) throw new EngineError('invalid_signature', TOLD[fault]);
}
