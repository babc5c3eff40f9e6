/**
 * Estimates the memory of a compiled version from its parts.
 *
 * The figures are measured (JavaScriptCore, bytes of the heap after a collection) and rounded up. The estimate must
 * include every part whose number depends on the definition.
 */
import type { Json } from '../core/json/json.ts';
import type { CompiledValue, Node } from '../expression/compiled.ts';
import type { CompiledStep, TemplateVersion } from './version.ts';

const PER_VERSION = 4_000;
/** A scope inside a step, without its steps. */
const PER_SCOPE = 2_000;
const PER_STEP = 1_000;
const PER_EDGE = 350;
/** An expression, without its reads and its text. */
const PER_PART = 500;
/** A read of an expression, which is also a piece of compiled code. */
const PER_READ = 450;
const PER_CHARACTER = 2;
/** An array, an object or a scalar of a value that is kept as it was written. */
const PER_VALUE = 64;
/** A part of the input schema, with its compiled form. */
const PER_SCHEMA_PART = 1_500;

/** Returns bytes. */
export function weightOf({ steps, scopes, template }: TemplateVersion): number {
  const schema = (weightOfJson(template.input) / PER_VALUE) * PER_SCHEMA_PART;
  let bytes = PER_VERSION + schema - PER_SCOPE;
  for (const { graph, output } of scopes)
    bytes += PER_SCOPE + graph.edges.length * PER_EDGE + weightOfCompiled(output);
  // The parameters of a step have those of the steps inside it.
  for (const step of template.steps) bytes += weightOfJson(step.with);
  for (const step of steps) bytes += weightOfStep(step);
  return bytes;
}

function weightOfStep({ params, when, limits }: CompiledStep): number {
  const keys =
    weightOfCompiled(limits?.concurrency?.key ?? null) + weightOfCompiled(limits?.rate?.key ?? null);
  return PER_STEP + weightOfCompiled(params) + weightOfCompiled(when) + keys;
}

function weightOfCompiled(value: CompiledValue | null): number {
  if (value === null) return 0;
  let bytes = weightOfNodes(value.node);
  for (const { source, pointer, reads } of value.parts) {
    bytes += PER_PART + reads.length * PER_READ + (source.length + pointer.length) * PER_CHARACTER;
  }
  return bytes;
}

function weightOfNodes(root: Node): number {
  const open: Node[] = [root];
  let bytes = 0;
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    bytes += PER_VALUE;
    if (node.kind === 'array') for (const item of node.items) open.push(item);
    if (node.kind === 'object') for (const [, member] of node.members) open.push(member);
  }
  return bytes;
}

function weightOfJson(root: Json | undefined): number {
  const open: (Json | undefined)[] = [root];
  let bytes = 0;
  while (open.length > 0) {
    const value = open.pop();
    bytes += PER_VALUE;
    if (typeof value === 'string') bytes += value.length * PER_CHARACTER;
    if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) open.push(item);
  }
  return bytes;
}
