/**
 * Calls the URL of its first argument with the product's HTTP client, every name being 127.0.0.1, and prints the
 * body, or the code and reason of the failure. A program of its own, because a process learns which certificates
 * it trusts when it starts.
 */
import type { StepFailure } from '../../steps/step-type.ts';
import { httpCall } from './http-call.ts';

const resolve = async () => [{ address: '127.0.0.1', family: 4 }];
await httpCall(process.argv[2] ?? '', {}, { resolve }).then(
  ({ body }) => console.log(body.toString()),
  ({ code, details }: StepFailure) => console.log(code, (details as { reason?: string } | null)?.reason),
);
