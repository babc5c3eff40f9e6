/**
 * The calls that publish, check, list, read and archive workflow templates.
 *
 * Publish and validate take the definition itself, as JSON or YAML.
 */
import { z } from '@hono/zod-openapi';
import type { DefinitionSource } from '../../definition/source.ts';
import type { TemplateServicePort } from '../../services/template-port.ts';
import type { BodyLimits } from '../body.ts';
import { PageQueryShape, pageShape } from '../page.ts';
import type { Router } from '../route.ts';
import {
  NameParamShape,
  PublishedShape,
  SummaryShape,
  TemplateShape,
  ValidatedShape,
  VersionQueryShape,
} from './bodies.ts';

const TAG = 'Templates';
const PATH = '/api/v1/templates';

export interface TemplateRoutes {
  templates: TemplateServicePort;
  /** Of a definition. */
  limits: BodyLimits;
}

/** In the OpenAPI document this is a reference to the definition's own schema. */
const DefinitionShape = z.unknown().openapi('Definition') as unknown as z.ZodType<DefinitionSource>;

/** Mounts the template calls. */
export function addTemplateRoutes(router: Router, { templates, limits }: TemplateRoutes): void {
  addPublish(router, templates, limits);
  addValidate(router, templates, limits);
  addList(router, templates);
  addRead(router, templates);
  addArchive(router, templates);
}

function addPublish(router: Router, templates: TemplateServicePort, limits: BodyLimits): void {
  router.add({
    method: 'post',
    path: PATH,
    access: 'editor',
    tag: TAG,
    summary: 'Publish a definition as the next version of its name',
    body: { kind: 'definition', schema: DefinitionShape, limits },
    responses: {
      201: { description: 'A new version', schema: PublishedShape },
      200: { description: 'Equal to the latest version, which is returned', schema: PublishedShape },
    },
    errors: ['invalid_definition', 'unavailable'],
    async handle({ body }, { c, identity }) {
      const { created, result } = await templates.publish(identity, body);
      return c.json(result, created ? 201 : 200);
    },
  });
}

function addValidate(router: Router, templates: TemplateServicePort, limits: BodyLimits): void {
  router.add({
    method: 'post',
    path: `${PATH}/validate`,
    access: 'viewer',
    tag: TAG,
    summary: 'Check a definition without publishing it',
    body: { kind: 'definition', schema: DefinitionShape, limits },
    responses: { 200: { description: 'The findings, also when there are errors', schema: ValidatedShape } },
    errors: ['unavailable'],
    async handle({ body }, { c, identity }) {
      return c.json(await templates.validate(identity, body));
    },
  });
}

function addList(router: Router, templates: TemplateServicePort): void {
  router.add({
    method: 'get',
    path: PATH,
    access: 'viewer',
    tag: TAG,
    summary: 'List the latest version of every template',
    query: PageQueryShape,
    responses: { 200: { description: 'A page', schema: pageShape(SummaryShape) } },
    errors: ['unavailable'],
    async handle({ query }, { c, identity }) {
      return c.json(await templates.list(identity, query));
    },
  });
}

function addRead(router: Router, templates: TemplateServicePort): void {
  router.add({
    method: 'get',
    path: `${PATH}/{name}`,
    access: 'viewer',
    tag: TAG,
    summary: 'Read a template',
    params: NameParamShape,
    query: VersionQueryShape,
    responses: { 200: { description: 'The template', schema: TemplateShape } },
    errors: ['template_not_found', 'unavailable'],
    async handle({ params, query }, { c, identity }) {
      return c.json(await templates.get(identity, params.name, query.version));
    },
  });
}

function addArchive(router: Router, templates: TemplateServicePort): void {
  router.add({
    method: 'delete',
    path: `${PATH}/{name}`,
    access: 'editor',
    tag: TAG,
    summary: 'Archive every version of a template',
    description:
      'Running executions go on, a start answers 404, publishing the name again continues its count.',
    params: NameParamShape,
    query: z.strictObject({}),
    responses: { 204: { description: 'Archived' } },
    errors: ['template_not_found', 'unavailable'],
    async handle({ params }, { c, identity }) {
      await templates.archive(identity, params.name);
      return c.body(null, 204);
    },
  });
}
