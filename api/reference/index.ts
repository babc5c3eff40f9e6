/**
 * The API's description of itself: the OpenAPI document, the reference page, the schema of a definition.
 *
 * Everything here is open: it has no data of the engine.
 */
import { readFileSync } from 'node:fs';
import { z } from '@hono/zod-openapi';
import type { JsonObject } from '../../core/json/json.ts';
import type { Router } from '../route.ts';
import { openApiDocument } from './document.ts';
import { referencePage } from './page.ts';

const TAG = 'Reference';
const STYLESHEET = '/docs/assets/reference.css';
const PAGE_POLICY =
  "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export interface Reference {
  version: string;
  /** JSON Schema of a workflow definition. */
  definitionSchema: () => object;
}

/** Mounts the calls that describe the API; mount them last, the document covers what is there on first use. */
export function addReferenceRoutes(router: Router, reference: Reference): void {
  let made: JsonObject | undefined;
  const document = () => {
    made ??= openApiDocument(router.app, reference.version, reference.definitionSchema);
    return made;
  };
  addJson(router, '/openapi.json', 'This API as OpenAPI 3.1', 'application/json', document);
  addJson(
    router,
    '/schema/definition.json',
    'The JSON Schema of a workflow definition',
    'application/schema+json',
    reference.definitionSchema,
  );
  addPage(router, document);
}

function addJson(router: Router, path: string, summary: string, mediaType: string, read: () => object): void {
  router.add({
    method: 'get',
    path,
    access: 'public',
    tag: TAG,
    summary,
    responses: { 200: { description: 'The document', schema: z.object({}), mediaType } },
    handle: (_parts, { c }) => c.body(JSON.stringify(read()), 200, { 'Content-Type': mediaType }),
  });
}

function addPage(router: Router, document: () => JsonObject): void {
  const stylesheet = readFileSync(new URL('./reference.css', import.meta.url), 'utf8');
  router.add({
    method: 'get',
    path: '/docs',
    access: 'public',
    tag: TAG,
    summary: 'This API as a page to read',
    responses: { 200: { description: 'The page', schema: z.string(), mediaType: 'text/html' } },
    handle(_parts, { c }) {
      c.header('Content-Security-Policy', PAGE_POLICY);
      return c.html(referencePage(document(), STYLESHEET));
    },
  });
  router.app.get(STYLESHEET, (c) => c.body(stylesheet, 200, { 'Content-Type': 'text/css; charset=utf-8' }));
  router.app.get('/', (c) => c.redirect('/docs'));
}
