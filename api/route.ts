/**
 * One description of a call has three uses: it mounts the call, checks the request, and documents it.
 *
 * Invariant 1: a route without `access` does not compile; the key is checked before the body is read.
 * Invariant 2: the schema in the OpenAPI document is the object that checks the request.
 * Invariant 3: a handler sees only data that its schemas accept.
 */
import { OpenAPIHono, type RouteConfig, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { ERROR_STATUS, type ErrorCode } from '../core/problem.ts';
import {
  type Access,
  type AuthPolicy,
  type Credentials,
  FORWARDING_HEADERS,
  type Identity,
  requireAccess,
} from './auth.ts';
import {
  type BodyLimits,
  JSON_MEDIA_TYPE,
  MAX_LIGHT_BODY_BYTES,
  parseJsonBody,
  readDefinitionBody,
  readJsonBytes,
  readRawBody,
  YAML_MEDIA_TYPE,
} from './body.ts';
import type { ApiEnv } from './context.ts';
import { PROBLEM_MEDIA_TYPE, ProblemShape, problemResponse } from './errors.ts';
import type { Intake, IntakeTicket } from './intake.ts';
import { check, readQuery, requireStorable } from './request-check.ts';

/** The arguments of a handler besides the checked parts. */
export interface Call {
  readonly c: Context<ApiEnv>;
  /** On a public route the caller has no identity, and handlers do not read it. */
  readonly identity: Identity;
}

/** How the body of a call is read. A definition is read and checked by the service, not here. */
export type BodySpec<B extends z.ZodType> =
  | {
      kind: 'json';
      schema: B;
      optional?: boolean;
      limits: BodyLimits;
      example?: unknown;
      /** Reads and checks a body that would block the event loop. */
      readLarge?: ((bytes: Uint8Array, identity: Identity) => Promise<z.output<B>>) | undefined;
    }
  | { kind: 'definition'; schema: B; limits: BodyLimits }
  /** Bytes of any type, which the handler reads when it wants to. */
  | { kind: 'raw'; schema: B; limits: BodyLimits };

/** The schema of a raw body: the handler gets a function that reads it. */
export const RAW_BODY = z.custom<() => Promise<Uint8Array>>();

export interface ResponseSpec {
  description: string;
  schema?: z.ZodType;
  /** Default application/json. */
  mediaType?: string;
}

export interface RouteSpec<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType> {
  /** `any` is documented as `post`. */
  method: 'get' | 'post' | 'delete' | 'any';
  /** With `{name}` parameters. */
  path: string;
  access: Access;
  tag: string;
  summary: string;
  description?: string;
  params?: P;
  query?: Q;
  /** Documented only: the handler reads and checks them. */
  headers?: z.ZodObject;
  body?: BodySpec<B>;
  responses: Record<number, ResponseSpec>;
  /** Codes that the service may answer with, besides those that every route has. */
  errors?: readonly ErrorCode[];
  handle(
    parts: { params: z.output<P>; query: z.output<Q>; body: z.output<B> },
    call: Call,
  ): Response | Promise<Response>;
}

export interface Router {
  readonly app: OpenAPIHono<ApiEnv>;
  add<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType>(spec: RouteSpec<P, Q, B>): void;
}

const ANY_METHOD = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** A router whose unknown paths answer 404 and whose known paths answer 405 to other methods. */
export function createRouter(auth: AuthPolicy, intake: Intake): Router {
  const app = new OpenAPIHono<ApiEnv>({ strict: true });
  const known: { pattern: RegExp; method: string }[] = [];
  app.notFound((c) => answerUnrouted(c, known));
  return {
    app,
    add(spec) {
      app.openAPIRegistry.registerPath(documentRoute(spec));
      const path = spec.path.replace(/\{(\w+)\}/g, ':$1');
      if (spec.method !== 'any') known.push({ pattern: patternOf(spec.path), method: spec.method });
      const methods = spec.method === 'any' ? ANY_METHOD : [spec.method.toUpperCase()];
      app.on(methods, path, async (c) => {
        c.set('route', spec.path);
        if (spec.access !== 'public') {
          const identity = auth.identify(credentialsOf(c));
          requireAccess(identity, spec.access);
          c.set('identity', identity);
        }
        const ticket = intake.admit(c.get('identity')?.workspaceId ?? '');
        try {
          const parts = await readParts(c, spec, ticket);
          return await spec.handle(parts, { c, identity: c.get('identity') });
        } finally {
          ticket.release();
        }
      });
    },
  };
}

/** The parts of a request and its connection that the auth policy reads. */
export function credentialsOf(c: Context<ApiEnv>): Credentials {
  return {
    authorization: c.req.header('Authorization'),
    host: c.req.header('Host') ?? new URL(c.req.url).host,
    origin: c.req.header('Origin'),
    remoteAddress: c.env?.remoteAddress,
    forwardedBy: FORWARDING_HEADERS.find((name) => c.req.header(name) !== undefined),
  };
}

async function readParts<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType>(
  c: Context<ApiEnv>,
  spec: RouteSpec<P, Q, B>,
  ticket: IntakeTicket,
): Promise<{ params: z.output<P>; query: z.output<Q>; body: z.output<B> }> {
  const params = spec.params && check(spec.params, requireStorable({ ...c.req.param() }), 'path');
  const query = spec.query && check(spec.query, readQuery(c.req.url), 'query');
  const body = spec.body && (await readBody(c, spec.body, ticket));
  // Absent parts are of type `{}` or `unknown` by inference and no handler reads them.
  return { params, query, body } as { params: z.output<P>; query: z.output<Q>; body: z.output<B> };
}

async function readBody<B extends z.ZodType>(
  c: Context<ApiEnv>,
  spec: BodySpec<B>,
  ticket: IntakeTicket,
): Promise<z.output<B>> {
  const limits = { ...spec.limits, ticket };
  if (spec.kind === 'raw') return (() => readRawBody(c.req.raw, limits)) as z.output<B>;
  if (spec.kind === 'definition') return (await readDefinitionBody(c.req.raw, limits)) as z.output<B>;
  const bytes = await readJsonBytes(c.req.raw, limits, spec.optional === true);
  if (bytes === null) return check(spec.schema, {}, 'body');
  const isLarge = bytes.byteLength > MAX_LIGHT_BODY_BYTES;
  if (isLarge && spec.readLarge !== undefined) return spec.readLarge(bytes, c.get('identity'));
  return check(spec.schema, parseJsonBody(bytes, limits), 'body');
}

function answerUnrouted(c: Context<ApiEnv>, known: readonly { pattern: RegExp; method: string }[]): Response {
  const methods = known
    .filter(({ pattern }) => pattern.test(c.req.path))
    .map(({ method }) => method.toUpperCase());
  if (methods.length === 0) {
    return problemResponse(
      c,
      'not_found',
      `There is no ${c.req.method} ${c.req.path.slice(0, 200)}; /docs lists the calls.`,
    );
  }
  const allowed = [
    ...new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))),
  ].join(', ');
  c.header('Allow', allowed);
  return problemResponse(c, 'method_not_allowed', `${c.req.path} takes ${allowed}, not ${c.req.method}.`);
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`);
}

function documentRoute<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType>(
  spec: RouteSpec<P, Q, B>,
): RouteConfig {
  const { params, query, headers, body } = spec;
  return {
    method: documentedMethod(spec.method),
    path: spec.path,
    tags: [spec.tag],
    summary: spec.summary,
    operationId: operationIdOf(documentedMethod(spec.method), spec.path),
    ...(spec.description ? { description: spec.description } : {}),
    security: spec.access === 'public' ? [] : [{ bearer: [] }],
    request: {
      ...(params ? { params } : {}),
      ...(query ? { query } : {}),
      ...(headers ? { headers } : {}),
      ...(body ? { body: documentBody(body) } : {}),
    },
    responses: { ...documentSuccess(spec.responses), ...documentErrors(spec) },
  };
}

function documentedMethod(method: 'get' | 'post' | 'delete' | 'any'): 'get' | 'post' | 'delete' {
  return method === 'any' ? 'post' : method;
}

function documentBody(body: BodySpec<z.ZodType>): NonNullable<NonNullable<RouteConfig['request']>['body']> {
  if (body.kind === 'raw') return { content: { '*/*': { schema: z.string() } } };
  const { schema } = body;
  if (body.kind === 'definition') {
    return { required: true, content: { [JSON_MEDIA_TYPE]: { schema }, [YAML_MEDIA_TYPE]: { schema } } };
  }
  const example = body.example === undefined ? {} : { example: body.example };
  return { required: body.optional !== true, content: { [JSON_MEDIA_TYPE]: { schema, ...example } } };
}

function documentSuccess(responses: Record<number, ResponseSpec>): RouteConfig['responses'] {
  return Object.fromEntries(
    Object.entries(responses).map(([status, { description, schema, mediaType = JSON_MEDIA_TYPE }]) => [
      status,
      { description, ...(schema ? { content: { [mediaType]: { schema } } } : {}) },
    ]),
  );
}

function documentErrors(spec: RouteSpec<z.ZodObject, z.ZodObject, z.ZodType>): RouteConfig['responses'] {
  const codes: ErrorCode[] = [...(spec.errors ?? []), 'internal'];
  if (spec.access !== 'public') codes.push('unauthorized', 'forbidden', 'too_many_requests');
  if (spec.body) codes.push(...BODY_ERRORS);
  if (spec.body || spec.query || spec.params) codes.push('validation_failed', 'not_storable');
  if (spec.body?.kind === 'definition') codes.push('malformed_yaml');
  const responses: RouteConfig['responses'] = {};
  for (const status of new Set(codes.map((code) => ERROR_STATUS[code]).sort())) {
    const names = [...new Set(codes)].filter((code) => ERROR_STATUS[code] === status).join(', ');
    responses[status] = {
      description: `Code: ${names}`,
      ...(status === 429 || status === 503 ? { headers: RETRY_AFTER } : {}),
      content: { [PROBLEM_MEDIA_TYPE]: { schema: ProblemShape } },
    };
  }
  return responses;
}

const BODY_ERRORS: readonly ErrorCode[] = [
  'malformed_json',
  'number_not_exact',
  'request_timeout',
  'body_too_large',
  'unsupported_media_type',
  'too_many_requests',
];

const RETRY_AFTER = z.object({
  'Retry-After': z.string().openapi({ description: 'Seconds to wait before the call is tried again.' }),
});

/** `get /api/v1/templates/{name}` -> `getTemplatesName`. */
function operationIdOf(method: string, path: string): string {
  const words = path
    .replace('/api/v1', '')
    .split(/[^a-zA-Z0-9]+/)
    .filter(Boolean);
  return method + words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
}
