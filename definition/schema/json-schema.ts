/**
 * JSON Schema 2020-12: whether a schema is one, and whether a value fits it.
 *
 * Schemas and values come from outside. Patterns are matched in linear time; references are followed only within
 * the schema and, since a few of them can multiply to more work than a machine can do, counted; unknown keywords
 * and formats mean nothing; values are never changed, and defaults not filled in.
 *
 * Invariant 1: nothing here throws but `createValidator` for a schema that `checkSchema` refuses.
 */
import { _, type FuncKeywordDefinition, type KeywordCxt, type Options, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { canonicalJson } from '../../core/json/canonical.ts';
import type { Json, JsonSchema } from '../../core/json/json.ts';
import { isObject } from '../../core/json/json.ts';
import { type Problem, pointerSegment } from '../../core/problem.ts';
import type { SchemaChecker, SchemaFault } from './checker.ts';
import { FORMATS } from './formats.ts';
import { checkPattern, PatternError } from './linear-pattern.ts';
import { toProblems } from './messages.ts';
import { BRIEF, type Effort, Meter, meteredFormat, meteredPattern, THOROUGH, TooMuchWork } from './meter.ts';
import { isMultipleOf } from './multiple-of.ts';
import { patternSize } from './pattern-size.ts';
import { isLargerThan } from './weight.ts';

/**
 * Returns the problems of a value. Given an effort, throws TooMuchWork when that is used up; otherwise a value that
 * takes too much work is a problem.
 */
export type Validator = (value: unknown, effort?: Effort) => Problem[];

/** Objects, arrays and scalars in a schema; compiling takes some 50 microseconds for each. */
const MAX_SCHEMA_NODES = 20_000;
/** Values above this are checked up to their first problem, so that problems cannot use up the memory. */
const LARGE_VALUE_NODES = 10_000;
/** Instructions of all patterns of a schema; each takes a microsecond to compile and some hundred bytes. */
const MAX_PATTERNS_SIZE = 50_000;
const DIALECT = /^https?:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/;

/** The port that the core's checks ask; validators are kept as long as their schema object is. */
export function createSchemaChecker(): SchemaChecker {
  const objects = new WeakMap<object, Validator>();
  const booleans = new Map<boolean, Validator>();
  const validatorOf = (schema: JsonSchema): Validator => {
    const known = typeof schema === 'boolean' ? booleans.get(schema) : objects.get(schema);
    if (known !== undefined) return known;
    const validator = createValidator(schema);
    if (typeof schema === 'boolean') booleans.set(schema, validator);
    else objects.set(schema, validator);
    return validator;
  };
  return {
    checkSchema,
    checkStored: (schema) => schemaFaults(schema, 'known'),
    validate: (schema, value) => validatorOf(schema)(value),
    validateBriefly: (schema, value) => {
      try {
        return validatorOf(schema)(value, BRIEF);
      } catch (error) {
        if (error instanceof TooMuchWork) return null;
        throw error;
      }
    },
  };
}

/**
 * Compiles a schema; keep what it returns, compiling is slow. Throws an Error when the schema is not valid.
 * The problems are at most 50, in the order of the schema's keywords, each with the pointer of its place.
 */
export function createValidator(schema: JsonSchema): Validator {
  const meter = new Meter();
  const all = compile(schema, true, meter, matchedLater);
  let first: ValidateFunction | null = null;
  return (value, effort) => {
    const large = isLargerThan(value, LARGE_VALUE_NODES);
    if (large) first ??= compile(schema, false, meter, matchedLater);
    meter.begin(effort ?? THOROUGH);
    return run(large ? first! : all, value, effort !== undefined);
  };
}

function run(validate: ValidateFunction, value: unknown, isBounded = false): Problem[] {
  try {
    return validate(value) ? [] : toProblems(validate.errors ?? []);
  } catch (error) {
    if (isBounded && error instanceof TooMuchWork) throw error;
    return [{ pointer: '', code: 'invalid_value', message: failureOf(error) }];
  } finally {
    validate.errors = null;
  }
}

const TOO_MUCH_WORK =
  'The value takes too much work to check: the references of the schema multiply; make it simpler.';

/**
 * Schemas are foreign: one that overtaxes the compiled code, or the compiler, must not look like an error of the
 * engine.
 */
function failureOf(error: unknown): string {
  if (error instanceof TooMuchWork || error instanceof RangeError) {
    return TOO_MUCH_WORK;
  }
  return `The schema cannot be held against this value (${String(error)}); make it simpler.`;
}

/** Returns the problems of a schema; [] when values can be checked against it. */
export function checkSchema(schema: unknown): SchemaFault[] {
  return schemaFaults(schema, 'new');
}

/** @param patterns those of a known schema were accepted when it was new, perhaps under another bound */
function schemaFaults(schema: unknown, patterns: 'new' | 'known'): SchemaFault[] {
  if (typeof schema === 'boolean') return [];
  if (!isObject(schema)) return [{ pointer: '', message: 'A JSON Schema is an object, true or false.' }];
  if (isLargerThan(schema, MAX_SCHEMA_NODES)) {
    return [{ pointer: '', message: `The schema has more than ${MAX_SCHEMA_NODES} parts; make it smaller.` }];
  }
  const dialect = dialectFault(schema);
  if (dialect !== null) return [dialect];
  const faults = metaFaults(schema);
  const onPattern = patterns === 'new' ? countedPatterns() : matchedLater;
  const effort = patterns === 'new' ? BRIEF : THOROUGH;
  return faults.length > 0 ? faults : compileFaults(schema as JsonSchema, onPattern, effort);
}

/** Checks each pattern of a schema, and refuses those that make all of them too large. */
function countedPatterns(): OnPattern {
  const met = new Set<string>();
  let size = 0;
  return (pattern) => {
    if (met.has(pattern)) return;
    met.add(pattern);
    size += patternSize(pattern);
    if (size > MAX_PATTERNS_SIZE) throw new PatternError(pattern, TOO_LARGE);
    checkPattern(pattern);
  };
}

const TOO_LARGE =
  `with it the patterns of the schema have more than ${MAX_PATTERNS_SIZE} parts, each repeat counted as often as it may ` +
  'repeat; lower the counts, or use maxLength';

function dialectFault(schema: Record<string, unknown>): SchemaFault | null {
  if (schema.$async !== undefined)
    return { pointer: '/$async', message: 'There is no "$async" in JSON Schema; remove it.' };
  const { $schema } = schema;
  if ($schema === undefined || (typeof $schema === 'string' && DIALECT.test($schema))) return null;
  const message =
    'Schemas are read as https://json-schema.org/draft/2020-12/schema; name that, or leave "$schema" out.';
  return { pointer: '/$schema', message };
}

let metaValidator: ValidateFunction | null = null;

/** The schema of schemas; it is the same for all, compiled on first use. */
function metaFaults(schema: unknown): SchemaFault[] {
  metaValidator ??= createAjv({ allErrors: true }).getSchema(
    'https://json-schema.org/draft/2020-12/schema',
  ) as ValidateFunction;
  return run(metaValidator, schema);
}

function compileFaults(schema: JsonSchema, onPattern: OnPattern, effort: Effort): SchemaFault[] {
  try {
    const meter = new Meter();
    const validate = compile(schema, true, meter, onPattern);
    meter.begin(effort);
    validate(null);
    return [];
  } catch (error) {
    return [compileFault(schema, error)];
  }
}

function compileFault(schema: JsonSchema, error: unknown): SchemaFault {
  if (error instanceof RangeError || error instanceof TooMuchWork) {
    const message = 'The schema refers to itself without going into the value, or is nested too deeply.';
    return { pointer: '', message };
  }
  if (error instanceof PatternError) return patternFault(schema, error);
  const { missingRef } = error as { missingRef?: string };
  const reason = error instanceof Error ? error.message : String(error);
  if (missingRef === undefined) return { pointer: '', message: `The schema cannot be used: ${reason}.` };
  const pointer = pointerTo(
    schema as Json,
    (key, value) => /^\$(dynamic)?[rR]ef$/.test(key) && endsAlike(value, missingRef),
  );
  const message = `The reference ${JSON.stringify(missingRef)} is not in this schema; others are not loaded. Put it under "$defs".`;
  return { pointer: pointer ?? '', message };
}

function patternFault(schema: JsonSchema, { pattern, message }: PatternError): SchemaFault {
  const holds = (key: string, value: Json) =>
    key === 'pattern'
      ? value === pattern
      : key === 'patternProperties' && isObject(value) && Object.hasOwn(value, pattern);
  const pointer = pointerTo(schema as Json, holds) ?? '';
  const place = pointer.endsWith('/patternProperties') ? pointer + pointerSegment(pattern) : pointer;
  return { pointer: place, message: `The pattern cannot be used: ${message}.` };
}

/** Ajv gives the reference after it is resolved against `$id`. */
function endsAlike(reference: Json, resolved: string): boolean {
  return typeof reference === 'string' && resolved.endsWith(reference.replace(/^.*\//, ''));
}

function pointerTo(root: Json, found: (key: string, value: Json) => boolean): string | null {
  const open: { value: Json; pointer: string }[] = [{ value: root, pointer: '' }];
  for (let at = 0; at < open.length; at++) {
    const { value, pointer } = open[at]!;
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, item] of Object.entries(value) as [string, Json][]) {
      const place = pointer + pointerSegment(key);
      if (found(key, item)) return place;
      open.push({ value: item, pointer: place });
    }
  }
  return null;
}

function createAjv(options: Options): Ajv2020 {
  const ajv = new Ajv2020({
    strict: false,
    logger: false,
    verbose: true,
    formats: FORMATS,
    // Inherited names such as "constructor" are not properties of a value.
    ownProperties: true,
    // A large part that is referred to often would be copied into the code each time.
    inlineRefs: false,
    ...options,
  });
  for (const keyword of OWN_KEYWORDS) {
    ajv.removeKeyword(keyword.keyword);
    ajv.addKeyword({ ...keyword, error: { message: '' } });
  }
  return ajv;
}

/**
 * Equality by canonical text: Ajv's own compares every two items of a list, which takes forever for a million, and
 * trips over members named `valueOf`. Multiples by decimal text: Ajv divides doubles.
 */
const OWN_KEYWORDS: readonly (FuncKeywordDefinition & { keyword: string })[] = [
  { keyword: 'uniqueItems', type: 'array', schemaType: 'boolean', validate: areUnique },
  { keyword: 'enum', schemaType: 'array', compile: isOneOf },
  { keyword: 'const', compile: (allowed: Json) => isOneOf([allowed]) },
  { keyword: 'multipleOf', type: 'number', schemaType: 'number', compile: isMultipleOf },
];

function areUnique(required: boolean, items: Json[]): boolean {
  return !required || new Set(items.map(canonicalJson)).size === items.length;
}

function isOneOf(allowed: Json[]): (value: Json) => boolean {
  const texts = new Set(allowed.map(canonicalJson));
  return (value) => texts.has(canonicalJson(value));
}

/** Told of each pattern when a schema is compiled. Throws PatternError. */
type OnPattern = (pattern: string) => void;

/** Patterns are compiled when a value is matched against them. */
const matchedLater: OnPattern = () => undefined;

/** A separate compiler for each schema: schemas may have the same `$id`, and each is forgotten with its compiler. */
function compile(
  schema: JsonSchema,
  allErrors: boolean,
  meter: Meter,
  onPattern: OnPattern,
): ValidateFunction {
  const spend = () => meter.spend(0);
  const metered = (pattern: string) => {
    onPattern(pattern);
    return meteredPattern(pattern, meter);
  };
  const regExp = Object.assign(metered, { code: 'linearPattern' });
  const formats = { ...FORMATS, regex: meteredFormat(meter) };
  const ajv = createAjv({ allErrors, meta: false, validateSchema: false, code: { regExp }, formats });
  // Only for schemas that need it: the code that tracks evaluated members fails on some of the others.
  ajv.opts.unevaluated = mentionsUnevaluated(schema);
  meterReferences(ajv, spend);
  return ajv.compile(schema);
}

function mentionsUnevaluated(schema: JsonSchema): boolean {
  return pointerTo(schema, (key) => key.startsWith('unevaluated')) !== null;
}

function meterReferences(ajv: Ajv2020, spend: () => void): void {
  for (const keyword of ['$ref', '$dynamicRef']) {
    const rule = ajv.RULES.all[keyword];
    if (typeof rule !== 'object' || !('code' in rule.definition)) continue;
    const { code } = rule.definition;
    const counted = (context: KeywordCxt, ruleType?: string) => {
      context.gen.code(_`${context.gen.scopeValue('func', { ref: spend })}()`);
      code(context, ruleType);
    };
    rule.definition = { ...rule.definition, code: counted };
  }
}
