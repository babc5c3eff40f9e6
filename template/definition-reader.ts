/**
 * Reads a definition as it arrives: returns its published form, or its problems.
 *
 * Invariant: `tryRead` takes milliseconds at most. It returns null for a definition that may take longer, without
 * beginning it.
 */
import { createHash } from 'node:crypto';
import { definitionFingerprint } from '../core/json/canonical.ts';
import { listSteps } from '../core/scopes/step-list.ts';
import { readDefinition } from '../definition/definition.ts';
import type { DocumentFormat, DocumentLimits } from '../definition/document.ts';
import type { LintContext } from '../definition/lint/context.ts';
import { isLightSchema } from '../definition/schema/weight.ts';
import { type DefinitionSource, parseSource } from '../definition/source.ts';
import { calledTemplates, selfCalls } from './called-templates.ts';
import type { Reading } from './reading.ts';

/** Sizes up to which any document is read and checked within milliseconds. */
const MAX_LIGHT_BYTES: Readonly<Record<DocumentFormat, number>> = { json: 3_072, yaml: 1_024 };
/**
 * Size up to which a published definition is judged within a slice of the event loop's time: it is parsed already, and
 * was accepted before. An engine that has just begun and takes steps over needs many of them.
 */
export const MAX_LIGHT_SOURCE = 8_192;

/** Reads a definition, however long it takes. @throws EngineError */
export function readNow(source: DefinitionSource, context: LintContext, limits: DocumentLimits): Reading {
  return judge(parseSource(source, limits), context);
}

/** Reads a definition if that takes milliseconds at most; null: it may take longer. @throws EngineError */
export function tryRead(
  source: DefinitionSource,
  context: LintContext,
  limits: DocumentLimits,
): Reading | null {
  if (source.bytes.byteLength > MAX_LIGHT_BYTES[source.format]) return null;
  const document = parseSource(source, limits);
  return isLightDocument(document) ? judge(document, context) : null;
}

/** Returns whether the schema in any document compiles within milliseconds. */
export function isLightDocument(document: unknown): boolean {
  if (typeof document !== 'object' || document === null) return true;
  return isLightSchema((document as { input?: unknown }).input);
}

function judge(document: unknown, context: LintContext): Reading {
  const { template, errors, warnings } = readDefinition(document, context);
  if (template === null) return { definition: null, errors, warnings };
  const { name, description, steps } = template;
  const calls = calledTemplates(steps);
  const definition = {
    name,
    description,
    steps: listSteps(steps).map(({ path, place, step }) => ({ key: path, type: step.type, place })),
    hash: createHash('sha256').update(definitionFingerprint(document)).digest('hex'),
    text: JSON.stringify(document),
    calls,
  };
  return { definition, errors, warnings: [...warnings, ...selfCalls(name, calls)] };
}
