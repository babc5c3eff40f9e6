/** One call of the product's HTTP client, as a test of it wants it. */
import { parseAllowList } from '../../steps/http/address.ts';
import { createHttpClient, type HttpCall, type HttpClientSettings } from '../../steps/http/client.ts';
import type { HttpReply } from '../../steps/http/reply.ts';

/**
 * The answer with its body; throws why that could not be had.
 * The client may reach 127.0.0.1 and keeps 1,000,000 bytes, unless `settings` say otherwise.
 */
export async function httpCall(
  url: string,
  parts: Partial<HttpCall> = {},
  settings: Partial<HttpClientSettings> = {},
): Promise<HttpReply & { fault: null }> {
  const client = createHttpClient({
    allow: parseAllowList(['127.0.0.1']),
    maxResponseBytes: 1_000_000,
    timeoutMs: 20_000,
    ...settings,
  });
  const { signal } = new AbortController();
  const reply = await client({
    method: 'GET',
    url,
    headers: {},
    body: null,
    maxRedirects: 5,
    signal,
    ...parts,
  });
  if (reply.fault !== null) throw reply.fault;
  return reply;
}
