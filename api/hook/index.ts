/**
 * The call that ends a webhook step: a URL of the step's own, without a key.
 */
import { z } from '@hono/zod-openapi';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { HookPort } from '../../services/hooks/hook-service.ts';
import { DEFAULT_HOOK_METHODS, type HookResponse } from '../../steps/webhook/webhook.ts';
import type { BodyLimits } from '../body.ts';
import { problemResponse } from '../errors.ts';
import { RAW_BODY, type Router } from '../route.ts';

const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

export interface HookRoutes {
  hooks: HookPort;
  limits: BodyLimits;
}

/** Mounts the URLs of webhook steps. */
export function addHookRoutes(router: Router, { hooks, limits }: HookRoutes): void {
  router.add({
    method: 'any',
    path: '/hooks/{token}',
    access: 'public',
    tag: 'Hooks',
    summary: 'Answer a webhook step',
    description: `With any method that the step takes, by default ${DEFAULT_HOOK_METHODS.join(', ')}; once. The answer is the one that the step names, by default 202.`,
    params: z.object({ token: z.string() }),
    body: { kind: 'raw', schema: RAW_BODY, limits },
    responses: { 202: { description: 'The request is the output of the step' } },
    errors: [
      'hook_not_found',
      'method_not_allowed',
      'invalid_signature',
      'already_used',
      'wrong_state',
      'not_waiting',
      'body_too_large',
      'unavailable',
    ],
    async handle({ params, body: read }, { c }) {
      const { method } = c.req;
      const hook = await hooks.open(params.token, c.env?.draining);
      if (hook.methods !== null && !hook.methods.includes(method)) {
        const allowed = hook.methods.join(', ');
        c.header('Allow', allowed);
        return problemResponse(c, 'method_not_allowed', `This URL takes ${allowed}, not ${method}.`);
      }
      const headers = Object.fromEntries([...c.req.raw.headers].filter(([name]) => name !== '__proto__'));
      const query = new URL(c.req.url).searchParams;
      return responseOf(await hook.use({ method, headers, query, body: await read() }));
    },
  });
}

function responseOf({ status = 202, headers = {}, body = null }: HookResponse): Response {
  const isText = typeof body === 'string';
  const given = new Headers(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  if (body === null || WITHOUT_BODY.has(status)) return new Response(null, { status, headers: given });
  if (!given.has('content-type'))
    given.set('content-type', isText ? 'text/plain; charset=utf-8' : 'application/json');
  return new Response(isText ? body : JSON.stringify(body), {
    status: status as ContentfulStatusCode,
    headers: given,
  });
}
