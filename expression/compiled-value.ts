/**
 * Compiles a JSON value with `${{ }}` in its strings into something that can be evaluated many times.
 *
 * Pure and cacheable: depends on the value and the deferred pointers only. Also the expression checker that the
 * core's lint uses. Evaluation is evaluator.ts.
 *
 * Invariant 1: a value with problems must not be evaluated; its parts with problems have no code.
 */
import type { AnyNode } from 'acorn';
import type { Json } from '../core/json/json.ts';
import { type Problem, pointerSegment } from '../core/problem.ts';
import type { ExpressionChecker, InexactLiteral, MemberReference, NameReference } from '../core/step-type.ts';
import { didYouMean } from '../core/text/nearest.ts';
import { analyse, type Read } from './analysis.ts';
import type { CompiledValue, Node, Part, StepReference } from './compiled.ts';
import { INHERITED, isScopeName, type Root, STEP_PROPERTIES } from './names.ts';
import { compileNative } from './native.ts';
import { describePosition, holdsExpression, type ParsedExpression, parseText } from './syntax.ts';

interface Draft {
  problems: Problem[];
  stepReferences: StepReference[];
  inputReferences: { key: string; pointer: string }[];
  memberReferences: MemberReference[];
  nameReferences: NameReference[];
  inexactNumbers: InexactLiteral[];
  roots: Set<Root>;
  dynamicSteps: boolean;
  dynamicInputs: boolean;
  parts: Part[];
  readonly seen: Set<string>;
}

const MAX_DEPTH = 512;

/**
 * Compiles every string of a value. `deferred` are pointers in which `*` stands for any segment; the values they name
 * are left as they are (compile them on their own when they are needed). Never throws.
 */
export function compileValue(value: Json, deferred: readonly string[] = []): CompiledValue {
  const draft = emptyDraft();
  const patterns = deferred.map((pointer) => pointer.split('/').slice(1));
  const node = compileNode(value, '', patterns, 0, draft);
  return finish(draft, node);
}

/** Checks the expressions of a value as `compileValue` does; deferred pointers are left out. */
export const expressionChecker: ExpressionChecker = {
  check(value, deferred = []) {
    const { stepReferences, ...compiled } = compileValue(value, deferred);
    return { ...compiled, stepReferences: unique(stepReferences) };
  },
};

function unique(references: readonly StepReference[]): { key: string; pointer: string }[] {
  const byPlace = new Map(references.map(({ key, pointer }) => [`${key}\n${pointer}`, { key, pointer }]));
  return [...byPlace.values()];
}

function emptyDraft(): Draft {
  return {
    problems: [],
    stepReferences: [],
    inputReferences: [],
    memberReferences: [],
    nameReferences: [],
    inexactNumbers: [],
    roots: new Set(),
    dynamicSteps: false,
    dynamicInputs: false,
    parts: [],
    seen: new Set(),
  };
}

/** A version of a template has thousands of these, so empty and frequent ones are shared. */
function finish({ seen: _, ...draft }: Draft, node: Node): CompiledValue {
  const { problems, stepReferences, inputReferences, roots, parts } = draft;
  return {
    ...draft,
    problems: shared(problems),
    stepReferences: shared(stepReferences),
    memberReferences: shared(draft.memberReferences),
    nameReferences: shared(draft.nameReferences),
    inexactNumbers: shared(draft.inexactNumbers),
    inputReferences: shared(inputReferences),
    roots: sharedRoots(roots),
    parts: shared(parts),
    constant: parts.length === 0,
    native: parts.every((part) => part.native !== null),
    node,
  };
}

const NOTHING: readonly never[] = Object.freeze([]);

function shared<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NOTHING : list;
}

/** One entry for each combination in use. */
const knownRoots = new Map<string, ReadonlySet<Root>>();

function sharedRoots(roots: ReadonlySet<Root>): ReadonlySet<Root> {
  const name = [...roots].sort().join();
  const known = knownRoots.get(name) ?? roots;
  knownRoots.set(name, known);
  return known;
}

type Patterns = readonly (readonly string[])[];

function compileNode(value: Json, pointer: string, deferred: Patterns, depth: number, draft: Draft): Node {
  if (deferred.some((pattern) => pattern.length === 0)) return { kind: 'deferred', value };
  if (typeof value === 'string') return compileText(value, pointer, draft);
  if (typeof value !== 'object' || value === null) return { kind: 'constant', value };
  if (depth === MAX_DEPTH) {
    const message = `the value is nested more than ${MAX_DEPTH} levels deep; make it flatter`;
    draft.problems.push({ pointer: '', code: 'expression_syntax', message });
    return { kind: 'constant', value: null };
  }
  const below = (key: string | number, member: Json): Node =>
    compileNode(member, pointer + pointerSegment(key), narrowed(deferred, String(key)), depth + 1, draft);
  if (Array.isArray(value)) return { kind: 'array', items: value.map((item, index) => below(index, item)) };
  return {
    kind: 'object',
    members: Object.entries(value).map(([key, member]) => [key, below(key, member)] as const),
  };
}

function narrowed(patterns: Patterns, key: string): Patterns {
  if (patterns.length === 0) return patterns;
  const segment = pointerSegment(key).slice(1);
  return patterns.filter(([first]) => first === '*' || first === segment).map((pattern) => pattern.slice(1));
}

function compileText(text: string, pointer: string, draft: Draft): Node {
  if (!holdsExpression(text)) return { kind: 'constant', value: text };
  const { segments, single, error } = parseText(text);
  if (error !== null) {
    const message = `${error.message} (${describePosition(text, error.offset)})`;
    draft.problems.push({ pointer, code: 'expression_syntax', message });
    return { kind: 'constant', value: text };
  }
  const compiled = segments.map((segment) =>
    typeof segment === 'string' ? segment : addPart(segment, text, pointer, draft),
  );
  if (single) return { kind: 'value', part: compiled[0] as number };
  return { kind: 'text', segments: compiled };
}

function addPart(
  { ast, source, offset }: ParsedExpression,
  text: string,
  pointer: string,
  draft: Draft,
): number {
  const { reads, issues, inexactNumbers } = analyse(ast, source);
  for (const literal of inexactNumbers) draft.inexactNumbers.push({ literal, pointer });
  for (const issue of issues) {
    const message = `${issue.message} (${describePosition(text, offset + issue.offset)})`;
    draft.problems.push({ pointer, code: issue.code, message });
  }
  for (const read of reads) addReference(read, pointer, draft);
  const native = issues.length === 0 ? compileNative(ast, source) : null;
  return draft.parts.push({ source, pointer, reads, code: source, native, path: isPath(ast) }) - 1;
}

function isPath(ast: AnyNode): boolean {
  if (ast.type === 'Identifier') return true;
  if (ast.type === 'ChainExpression' || ast.type === 'ParenthesizedExpression') return isPath(ast.expression);
  return ast.type === 'MemberExpression' && isPath(ast.object);
}

function addReference([root, key, property]: Read, pointer: string, draft: Draft): void {
  draft.roots.add(root);
  if (root === 'inputs') {
    if (key === undefined) draft.dynamicInputs = true;
    else if (isNew(`inputs\n${key}\n${pointer}`, draft)) draft.inputReferences.push({ key, pointer });
  }
  if (root === 'execution' || root === 'secrets' || root === 'vars') {
    if (key !== undefined && isNew(`${root}\n${key}\n${pointer}`, draft))
      draft.memberReferences.push({ root, key, pointer });
  }
  if (isScopeName(root) && isNew(`${root}\n${pointer}`, draft))
    draft.nameReferences.push({ name: root, pointer });
  if (root !== 'steps') return;
  if (key === undefined) draft.dynamicSteps = true;
  else addStepReference(key, property, pointer, draft);
}

function addStepReference(key: string, property: string | undefined, pointer: string, draft: Draft): void {
  const known = STEP_PROPERTIES.find((name) => name === property) ?? null;
  if (known === null && property !== undefined && !INHERITED.object.has(property)) {
    const allowed = STEP_PROPERTIES.join(', ');
    const message = `steps.${key} has no "${property}"; it has ${allowed}.${didYouMean(property, STEP_PROPERTIES)}`;
    draft.problems.push({ pointer, code: 'unknown_reference', message });
  }
  if (isNew(`steps\n${key}\n${property ?? ''}\n${pointer}`, draft)) {
    draft.stepReferences.push({ key, pointer, property: known });
  }
}

function isNew(identity: string, { seen }: Draft): boolean {
  if (seen.has(identity)) return false;
  seen.add(identity);
  return true;
}
