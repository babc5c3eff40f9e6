/**
 * A definition as it arrives to what is published of it, or to what is wrong with it.
 *
 * Invariant: what may take more than some milliseconds is not done here; `tryRead` says so and does not begin it.
 */
import { createHash } from 'node:crypto';
import { definitionFingerprint } from '../core/json/canonical.ts';
import { readDefinition } from '../definition/definition.ts';
import type { DocumentFormat, DocumentLimits } from '../definition/document.ts';
import type { LintContext } from '../definition/lint/context.ts';
import { isLightSchema } from '../definition/schema/weight.ts';
import { type DefinitionSource, parseSource } from '../definition/source.ts';
import type { Reading } from './reading.ts';

/** Bytes that are read and checked within some milliseconds, whatever they are. */
const MAX_LIGHT_BYTES: Readonly<Record<DocumentFormat, number>> = { json: 3_072, yaml: 1_024 };
/** Of a definition that was parsed already. */
export const MAX_LIGHT_SOURCE = MAX_LIGHT_BYTES.json;

/** Reads a definition, however long it takes. @throws EngineError */
export function readNow(source: DefinitionSource, context: LintContext, limits: DocumentLimits): Reading {
  return judge(parseSource(source, limits), context);
}

/** Reads a definition if that takes some milliseconds at most; null: it may take longer. @throws EngineError */
export function tryRead(
  source: DefinitionSource,
  context: LintContext,
  limits: DocumentLimits,
): Reading | null {
  if (source.bytes.byteLength > MAX_LIGHT_BYTES[source.format]) return null;
  const document = parseSource(source, limits);
  return isLightDocument(document) ? judge(document, context) : null;
}

/** Whether the schema in a document, which may be anything, is compiled within some milliseconds. */
export function isLightDocument(document: unknown): boolean {
  if (typeof document !== 'object' || document === null) return true;
  return isLightSchema((document as { input?: unknown }).input);
}

function judge(document: unknown, context: LintContext): Reading {
  const { template, errors, warnings } = readDefinition(document, context);
  if (template === null) return { definition: null, errors, warnings };
  const { name, description, steps } = template;
  const definition = {
    name,
    description,
    steps: steps.map(({ key, type }) => ({ key, type })),
    hash: createHash('sha256').update(definitionFingerprint(document)).digest('hex'),
    text: JSON.stringify(document),
  };
  return { definition, errors, warnings };
}
