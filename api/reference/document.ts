/**
 * The OpenAPI 3.1 document, from the schemas that check the requests.
 *
 * The one schema that is not made by the API, the definition format's, is set in from the core's own.
 */
import type { OpenAPIHono } from '@hono/zod-openapi';
import { isObject, type Json, type JsonObject } from '../../core/json/json.ts';
import type { ApiEnv } from '../context.ts';

const DEFINITION = 'Definition';
const DESCRIPTION = [
  'Workflow graphs, run breadth-first on PostgreSQL.',
  'Errors are `application/problem+json` (RFC 9457) with a stable `code`.',
  'Times are ISO 8601 in UTC, ids are UUIDs, durations are written `250ms`, `30s`, `5m`, `2h` or `1d`.',
].join(' ');

/** The document of everything mounted on the app. */
export function openApiDocument(
  app: OpenAPIHono<ApiEnv>,
  version: string,
  definitionSchema: () => object,
): JsonObject {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    description:
      'An API key of a workspace, or of an admin. An engine without keys serves its own machine without.',
  });
  const generated = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Execution Engine',
      version,
      description: DESCRIPTION,
      license: { name: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
  });
  const document = JSON.parse(JSON.stringify(generated)) as JsonObject;
  const components = document.components as JsonObject;
  (components.schemas as JsonObject)[DEFINITION] = embed(definitionSchema() as JsonObject);
  return document;
}

/** A schema document as a component: its own `#/…` references start at the component then. */
function embed({ $schema: _dialect, $id: _id, ...schema }: JsonObject): JsonObject {
  return rebase(schema) as JsonObject;
}

function rebase(value: Json): Json {
  if (Array.isArray(value)) return value.map(rebase);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [
      key,
      key === '$ref' && typeof child === 'string' ? rebaseRef(child) : rebase(child as Json),
    ]),
  );
}

function rebaseRef(reference: string): string {
  return reference.startsWith('#') ? `#/components/schemas/${DEFINITION}${reference.slice(1)}` : reference;
}
